import os
import re
import stat
import subprocess
import sys

import pytest
from cryptography import x509

from sorakit.errors import IdentityError
from sorakit.private_files import write_private
from sorakit.provenance.keys import DEV_FILE, OWN_FILE, create_dev_identity, dev_anchor, load_identity
from sorakit.provenance.prompts import SALT_FILE, prompt_digest


def test_files_are_private_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        create_dev_identity(tmp_path / "keys")
        prompt_digest(tmp_path / "keys", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    files = sorted(p.name for p in (tmp_path / "keys").iterdir())
    assert files == [DEV_FILE, SALT_FILE]  # and no half-written ones
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "keys").iterdir()} == {0o600}


def test_created_is_what_is_loaded_and_repr_hides_the_key(tmp_path):
    made = create_dev_identity(tmp_path / "keys")
    assert load_identity(tmp_path / "keys") == made
    assert "PRIVATE" in made.key_pem.decode()
    assert "PRIVATE" not in repr(made)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_key_open_to_others_is_refused(tmp_path, mode):
    create_dev_identity(tmp_path / "keys")
    (tmp_path / "keys" / DEV_FILE).chmod(mode)
    with pytest.raises(IdentityError, match="chmod 600"):
        load_identity(tmp_path / "keys")


def test_key_folder_open_to_others_is_refused(tmp_path):
    (tmp_path / "keys").mkdir(mode=0o755)
    with pytest.raises(IdentityError, match="chmod 700"):
        create_dev_identity(tmp_path / "keys")


def test_a_linked_key_is_refused(tmp_path):
    create_dev_identity(tmp_path / "a")
    (tmp_path / "b").mkdir(mode=0o700)
    (tmp_path / "b" / DEV_FILE).symlink_to(tmp_path / "a" / DEV_FILE)
    with pytest.raises(IdentityError, match="cannot open"):
        load_identity(tmp_path / "b")


def test_no_overwrite_without_force_and_the_old_root_is_kept_with_it(tmp_path):
    keys = tmp_path / "keys"
    first, root = create_dev_identity(keys), dev_anchor(keys)
    with pytest.raises(IdentityError, match="--force"):
        create_dev_identity(keys)
    assert load_identity(keys) == first
    assert create_dev_identity(keys, force=True) != first
    assert dev_anchor(keys) != root
    assert [p.read_bytes() for p in keys.glob("dev-root-*.pem")] == [root]


def test_expired_says_how_to_renew(tmp_path):
    keys = tmp_path / "keys"
    with pytest.raises(IdentityError, match="at least 1"):
        create_dev_identity(keys, days=0)
    create_dev_identity(keys, days=1)
    script = "import sys,datetime\nfrom pathlib import Path\nimport sorakit.provenance.keys as k\n"
    script += "import sorakit.provenance.chain as c\n"
    # The clock of a child process is moved by replacing its `datetime`; nothing of ours is replaced.
    script += (
        "class Later(datetime.datetime):\n"
        "    @classmethod\n"
        "    def now(cls, tz=None): return datetime.datetime.now(tz) + datetime.timedelta(days=3)\n"
        "c.datetime = Later\n"
        "try: k.load_identity(Path(sys.argv[1]))\n"
        "except k.IdentityError as e: print(e)\n"
    )
    out = subprocess.run([sys.executable, "-c", script, keys], capture_output=True, text=True, check=True)
    assert "expired" in out.stdout
    assert "--force" in out.stdout


def test_certificates_name_nobody_and_say_that_they_are_not_trusted(tmp_path):
    create_dev_identity(tmp_path / "keys")
    data = (tmp_path / "keys" / DEV_FILE).read_bytes()
    leaf, root = x509.load_pem_x509_certificates(data)
    for certificate in (leaf, root):
        text = certificate.subject.rfc4514_string() + certificate.issuer.rfc4514_string()
        assert re.fullmatch(r"(CN=NOT TRUSTED - DEV (root|signer),O=NOT TRUSTED - DEV){2}", text)
    assert data.count(b"PRIVATE KEY-----") == 2  # one key, the leaf's: the root's was thrown away
    leaf.verify_directly_issued_by(root)


def test_a_key_of_someone_else_is_refused(tmp_path):
    create_dev_identity(tmp_path / "a")
    create_dev_identity(tmp_path / "b")
    a, b = ((tmp_path / n / DEV_FILE).read_bytes() for n in "ab")
    cut = b"-----BEGIN CERTIFICATE"
    mixed = a[: a.index(cut)] + b[b.index(cut) :]
    write_private(tmp_path / "c" / OWN_FILE, mixed)
    with pytest.raises(IdentityError, match="does not belong"):
        load_identity(tmp_path / "c")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_garbage_is_refused_plainly(tmp_path, content):
    write_private(tmp_path / "keys" / OWN_FILE, content)
    with pytest.raises(IdentityError, match=r"PKCS#8"):
        load_identity(tmp_path / "keys")


def test_a_development_identity_without_certificates_is_told(tmp_path):
    write_private(tmp_path / "keys" / DEV_FILE, b"junk")
    with pytest.raises(IdentityError, match="move it away"):
        dev_anchor(tmp_path / "keys")
    with pytest.raises(IdentityError, match="move it away"):
        create_dev_identity(tmp_path / "keys", force=True)


def test_none_yet(tmp_path):
    with pytest.raises(IdentityError, match="sorakit keys"):
        load_identity(tmp_path / "keys")
    assert dev_anchor(tmp_path / "keys") is None
    assert not (tmp_path / "keys").exists()


def test_prompt_digest_depends_on_the_users_salt(tmp_path):
    a, b = (prompt_digest(tmp_path / n, "a red ball") for n in "ab")
    assert a != b
    assert prompt_digest(tmp_path / "a", "a red ball") == a
    (tmp_path / "a" / SALT_FILE).write_bytes(b"short")
    with pytest.raises(IdentityError, match="32 bytes"):
        prompt_digest(tmp_path / "a", "a red ball")
