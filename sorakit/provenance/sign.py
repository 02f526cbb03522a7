"""Sign finished videos: one, many over threads, or with the signer that the settings name.

In: videos, definitions from `build_manifest`, a signer. Out: signed files and their manifest stores. The work
is `session.SigningSession`'s.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sorakit.provenance.session import EMBEDS, SIGNABLE, SignedFile, SigningSession
from sorakit.provenance.signers import Signer, check_signer, resolve_signer
from sorakit.provenance.stamps import Stamping

if TYPE_CHECKING:
    from sorakit.config import Settings

__all__ = [
    "EMBEDS", "SIGNABLE", "SignedFile", "SigningJob", "SigningSession",
    "sign", "sign_many", "signing_session",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class SigningJob:
    """The arguments of one `SigningSession.sign`."""

    src: Path
    dst: Path
    manifest: dict[str, Any]
    thumbnail: bytes | None = None
    ingredients: Sequence[Path] = ()


def signing_session(settings: "Settings", *, check_hash: bool = True) -> SigningSession:
    """The settings' signer and time-stamping service, for any number of files.

    Raises `IdentityError` or `UsageError` for a signer that cannot sign.

    >>> with signing_session(Settings()) as session:  # doctest: +SKIP
    ...     for clip in clips:
    ...         publish(clip, clip.with_suffix(".mp4"), session=session)
    """
    stamping = None
    if settings.tsa_url is not None:
        stamping = Stamping(settings.tsa_url, settings.tsa_policy, settings.tsa_timeout)
    return SigningSession(resolve_signer(settings), stamping=stamping, check_hash=check_hash)


def sign(
    src: Path,
    dst: Path,
    manifest: dict[str, Any],
    signer: Signer,
    *,
    thumbnail: bytes | None = None,
    parent: Path | None = None,
    stamping: Stamping | None = None,
) -> bytes:
    """`SigningSession.sign` for one file with one ingredient at most; returns the manifest store."""
    sources = () if parent is None else (parent,)
    with SigningSession(signer, stamping=stamping) as session:
        return session.sign(src, dst, manifest, thumbnail=thumbnail, ingredients=sources).store


def sign_many(
    jobs: Iterable[SigningJob],
    signer: Signer,
    *,
    stamping: Stamping | None = None,
    workers: int | None = None,
) -> Iterator[SignedFile | Exception]:
    """Sign many files over threads with one session; yields, in the order of `jobs`, a result or its error.

    One file's error does not stop the others. `workers`: threads (default: the processors, at most 8).
    Raises `IdentityError` at once for a signer that may not sign.

    >>> for done in sign_many(jobs, identity):  # doctest: +SKIP
    ...     print(done)
    """
    check_signer(signer)
    count = workers or min(8, os.cpu_count() or 1)
    with SigningSession(signer, stamping=stamping) as session, ThreadPoolExecutor(count) as pool:

        def one(job: SigningJob) -> SignedFile | Exception:
            try:
                return session.sign(
                    job.src, job.dst, job.manifest, thumbnail=job.thumbnail, ingredients=job.ingredients
                )
            except Exception as e:  # reported beside the job it belongs to
                return e

        yield from pool.map(one, jobs)
