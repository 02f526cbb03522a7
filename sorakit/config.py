"""Settings: where things live and how much a hostile file may cost.

Environment variables with the prefix `SORAKIT_` override the defaults (`SORAKIT_HOME`,
`SORAKIT_REGISTRY_URL`, `SORAKIT_LIMITS__MAX_BOXES`, …). Nothing is created on import.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from sorakit.errors import UsageError

__all__ = ["Limits", "Settings"]


class Limits(BaseModel):
    """Bounds on what one foreign file may cost."""

    model_config = ConfigDict(allow_inf_nan=False)

    max_bytes: int = Field(8 << 30, gt=0, description="file size")
    max_boxes: int = Field(
        20_000, gt=0, description="ISO-BMFF boxes; reading them is quadratic in C2PA readers"
    )
    max_pixels: int = Field(4096 * 4096, gt=0, description="one frame's pixels")
    max_duration: float = Field(4 * 3600, gt=0, description="seconds of video")
    memory_bytes: int = Field(3 << 30, gt=0, description="address space beyond start-up of the parsing child")
    probe_seconds: float = Field(10, gt=0, description="wall time to open and describe a file")
    check_seconds: float = Field(120, gt=0, description="wall time for all of a check")
    transcode_factor: float = Field(
        60, gt=0, description="wall seconds allowed per second of video, plus 120"
    )


class Settings(BaseSettings):
    """What the kit needs to know about this machine and its user.

    Raises `UsageError` for a value that cannot be, wherever it came from.
    """

    model_config = SettingsConfigDict(env_prefix="SORAKIT_", env_nested_delimiter="__", extra="ignore")

    home: Path = Field(default_factory=lambda: user_data_path("sorakit"))
    registry_url: str | None = None
    resolvers: tuple[str, ...] = Field(
        (), description="resolvers that every check asks, as `--resolver` does"
    )
    resolver_seconds: float = Field(15, gt=0, le=120, description="wall time of one resolver's answers")
    resolver_private: bool = Field(
        False, description="whether a resolver may have an address of a private net"
    )
    limits: Limits = Limits()
    crf: int = Field(18, ge=0, le=51, description="x264 constant rate factor of published files")
    preset: str = Field("medium", description="x264 preset of published files")
    psnr: float = Field(45.0, ge=38, le=55, description="luma PSNR of the watermark, dB")
    watermark_keys: Literal["public", "both", "secret"] = Field(
        "both", description="patterns of published files: `both` is public alone until a secret key exists"
    )
    detector: str = Field(
        "default", description="installed detector that check asks, by its entry point; none: no detector"
    )
    policy: str = Field("default", description="what check decides by: a shipped policy or a YAML file")
    decision_log: Path | None = Field(None, description="file to which check adds every decision")
    ocsp: bool = Field(False, description="ask a trusted signer's issuer about revocation, over the network")
    ocsp_seconds: float = Field(5.0, gt=0, le=60, description="time for that question")
    trust_list_days: int = Field(90, ge=1, description="age, days, from which a list of trust anchors is old")
    labels: str = Field("", description="visible labels of published files: some of eu, cn, ca, ca-visible")
    provider: str = Field(
        "sorakit", min_length=1, max_length=100, description="who publishes, as marks name it"
    )

    codec: Literal["auto", "h264", "hevc", "av1", "vp9"] = Field("auto", description="of published files")
    training: Literal["allowed", "notAllowed", "constrained"] = Field(
        "notAllowed", description="whether others may train models on published files (CAWG)"
    )
    training_info: str | None = Field(None, description="with `constrained`: the terms, or where they are")
    oversight: Literal["fully_autonomous", "prompt_guided", "human_validated"] | None = Field(
        None, description="how far a person watches over what models make here (c2pa.ai-disclosure)"
    )
    signing_cert: Path | None = Field(None, description="PEM certificate chain of the signer, leaf first")
    signing_key: Path | None = Field(None, description="its PKCS#8 key, mode 0600")
    signer: str | None = Field(None, description="a signer in code: `module:attribute`, or an entry point")
    tsa_url: str | None = Field(None, description="RFC 3161 time-stamping service; none is asked without it")
    tsa_policy: Literal["off", "best_effort", "required"] = "best_effort"
    tsa_timeout: float = Field(10, gt=0, le=300, description="seconds for a time stamp, all in all")

    @field_validator("home", "decision_log", "signing_cert", "signing_key")
    @classmethod
    def _expanded(cls, path: Path | None) -> Path | None:
        """`~` is the user's folder, which a shell does not put in everywhere."""
        try:
            return None if path is None else path.expanduser()
        except RuntimeError as e:
            raise ValueError(f"names no user's folder: {e}") from e

    if not TYPE_CHECKING:  # type checkers keep the signature that pydantic generates

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except SettingsError as e:
                raise UsageError(f"a setting in the environment cannot be used: {e}") from e
            except ValidationError as e:
                raise UsageError("; ".join(_plain(error) for error in e.errors())) from e

    @property
    def keys_dir(self) -> Path:
        """Signing keys and the development CA, mode 0700."""
        return self.home / "keys"

    @property
    def trust_dir(self) -> Path:
        """Lists of trust anchors that this user accepts: imported ones, and PEM files put there by hand."""
        return self.home / "trust"

    @property
    def database_url(self) -> str:
        """The registry's SQLAlchemy URL."""
        return self.registry_url or f"sqlite:///{self.home / 'registry.db'}"


def _plain(error: Any) -> str:
    """One of pydantic's findings, by the name of the variable that sets it."""
    name = "SORAKIT_" + "__".join(str(part).upper() for part in error["loc"])
    return f"{name}: {error['msg'][0].lower()}{error['msg'][1:]}, got {error['input']!r:.80}"
