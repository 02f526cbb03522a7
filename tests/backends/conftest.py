"""Random pipelines of a few thousand weights, one of each family, built and saved without any network."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    AutoencoderKLCogVideoX,
    AutoencoderKLHunyuanVideo,
    AutoencoderKLLTXVideo,
    AutoencoderKLMochi,
    AutoencoderKLTemporalDecoder,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
    LattePipeline,
    LatteTransformer3DModel,
    LTXImageToVideoPipeline,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    MochiPipeline,
    MochiTransformer3DModel,
    MotionAdapter,
    StableVideoDiffusionPipeline,
    UNet2DConditionModel,
    UNetSpatioTemporalConditionModel,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

WORDS = ("<pad>", "</s>", "<unk>", "a", "red", "circle", "moves", "left", "blue", "cat", "blurry", ".")
WIDTH = 16


def tokenizer() -> Any:
    """A word-level tokenizer: unknown words all read the same."""
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token=WORDS[2]))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=WORDS[0],
        eos_token=WORDS[1],
        unk_token=WORDS[2],
        model_max_length=16,
    )


def t5(config: Any = T5Config, model: Any = T5EncoderModel) -> Any:
    return model(config(vocab_size=len(WORDS), d_model=WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2))


def wan() -> Any:
    return WanPipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(UMT5Config, UMT5EncoderModel),
        vae=AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        transformer=WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=12, text_dim=WIDTH, freq_dim=32, ffn_dim=16,
            num_layers=1, rope_max_seq_len=32,
        ),
    )  # fmt: skip


def wan_from_picture() -> Any:
    base = wan()
    return WanImageToVideoPipeline(
        tokenizer=base.tokenizer,
        text_encoder=base.text_encoder,
        vae=base.vae,
        scheduler=base.scheduler,
        image_processor=None,
        image_encoder=None,
        transformer_2=None,
        transformer=WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=12, in_channels=36, out_channels=16, text_dim=WIDTH,
            freq_dim=32, ffn_dim=16, num_layers=1, rope_max_seq_len=32,
        ),
    )  # fmt: skip


def ltx_from_picture() -> Any:
    return LTXImageToVideoPipeline(**ltx().components)


def animatediff() -> Any:
    clip = CLIPTextConfig(
        vocab_size=len(WORDS), hidden_size=WIDTH, intermediate_size=16, projection_dim=8, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=16, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    return AnimateDiffPipeline(
        vae=latte().vae,
        text_encoder=CLIPTextModel(clip),
        tokenizer=tokenizer(),
        unet=UNet2DConditionModel(
            block_out_channels=(8, 8), layers_per_block=1, sample_size=8, cross_attention_dim=WIDTH,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), attention_head_dim=4,
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), norm_num_groups=2,
        ),
        motion_adapter=MotionAdapter(
            block_out_channels=(8, 8), motion_layers_per_block=1, motion_norm_num_groups=2,
            motion_num_attention_heads=2,
        ),
        scheduler=DDIMScheduler(),
    )  # fmt: skip


def ltx() -> Any:
    return LTXPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=AutoencoderKLLTXVideo(
            latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1),
            spatio_temporal_scaling=(True, True, True, False),
            decoder_spatio_temporal_scaling=(True, True, True, False),
            decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4,
            timestep_conditioning=False,
        ),
        text_encoder=t5(),
        tokenizer=tokenizer(),
        transformer=LTXVideoTransformer3DModel(
            in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8,
            cross_attention_dim=16, num_layers=1, caption_channels=WIDTH,
        ),
    )  # fmt: skip


def cogvideox() -> Any:
    return CogVideoXPipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
            temporal_compression_ratio=4,
        ),
        transformer=CogVideoXTransformer3DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=4, time_embed_dim=2,
            text_embed_dim=WIDTH, num_layers=1, sample_width=2, sample_height=2, sample_frames=9,
            max_text_seq_length=226,
        ),
        scheduler=CogVideoXDDIMScheduler(),
    )  # fmt: skip


def hunyuan() -> Any:
    torch.manual_seed(0)
    clip = CLIPTextConfig(
        vocab_size=len(WORDS), hidden_size=8, intermediate_size=16, projection_dim=8,
        num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=77, bos_token_id=1,
        eos_token_id=1,
    )  # fmt: skip
    llama = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=WIDTH, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    return HunyuanVideoPipeline(
        text_encoder=LlamaModel(llama),
        tokenizer=tokenizer(),
        transformer=HunyuanVideoTransformer3DModel(
            in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=10, num_layers=1,
            num_single_layers=1, num_refiner_layers=1, patch_size=2, patch_size_t=1, guidance_embeds=True,
            text_embed_dim=WIDTH, pooled_projection_dim=8, rope_axes_dim=(2, 4, 4),
        ),
        vae=AutoencoderKLHunyuanVideo(
            latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2,
            down_block_types=("HunyuanVideoDownBlock3D",) * 4, up_block_types=("HunyuanVideoUpBlock3D",) * 4,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=CLIPTextModel(clip),
        tokenizer_2=tokenizer(),
    )  # fmt: skip


def mochi() -> Any:
    return MochiPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=AutoencoderKLMochi(
            latent_channels=12, encoder_block_out_channels=(32,) * 4, decoder_block_out_channels=(32,) * 4,
            layers_per_block=(1, 1, 1, 1, 1), temporal_expansions=(1, 2, 3), spatial_expansions=(2, 2, 2),
        ),
        text_encoder=t5(),
        tokenizer=tokenizer(),
        transformer=MochiTransformer3DModel(
            patch_size=2, num_attention_heads=2, attention_head_dim=8, num_layers=2, pooled_projection_dim=16,
            in_channels=12, text_embed_dim=WIDTH, time_embed_dim=4, activation_fn="swiglu",
        ),
    )  # fmt: skip


def latte() -> Any:
    return LattePipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=AutoencoderKL(
            block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, norm_num_groups=2,
        ),
        transformer=LatteTransformer3DModel(
            sample_size=8, video_length=8, num_layers=1, patch_size=2, attention_head_dim=8,
            num_attention_heads=2, caption_channels=WIDTH, in_channels=4, out_channels=8,
            cross_attention_dim=16, attention_bias=True, activation_fn="gelu-approximate",
            num_embeds_ada_norm=1000, norm_type="ada_norm_single", norm_elementwise_affine=False,
        ),
        scheduler=DDIMScheduler(),
    )  # fmt: skip


def svd() -> Any:
    vision = CLIPVisionConfig(
        hidden_size=16, projection_dim=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        image_size=224, patch_size=112,
    )  # fmt: skip
    return StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder(
            block_out_channels=(32, 32, 32, 32), down_block_types=("DownEncoderBlock2D",) * 4,
            latent_channels=4, layers_per_block=1,
        ),
        image_encoder=CLIPVisionModelWithProjection(vision),
        unet=UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 32),
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            num_attention_heads=2, cross_attention_dim=16, addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24, layers_per_block=1,
        ),
        scheduler=EulerDiscreteScheduler(prediction_type="v_prediction"),
        feature_extractor=CLIPImageProcessorPil(),
    )  # fmt: skip


FAMILIES: dict[str, Callable[[], Any]] = {
    "wan": wan, "ltx": ltx, "cogvideox": cogvideox, "hunyuan": hunyuan, "mochi": mochi, "latte": latte,
    "svd": svd, "wan-from-picture": wan_from_picture, "ltx-from-picture": ltx_from_picture,
    "animatediff": animatediff,
}  # fmt: skip


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may reach the net, and nothing tries."""

    def refuse(*_: object) -> None:
        raise AssertionError("this opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`family(name)`: the folder of that family's tiny pipeline, always the same weights."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("families") / name
            torch.manual_seed(7)
            FAMILIES[name]().save_pretrained(made[name], safe_serialization=True)
        return made[name]

    return folder


@pytest.fixture
def copy(family: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """`copy(name)`: a copy of that folder to spoil."""

    def made(name: str = "wan") -> Path:
        return shutil.copytree(family(name), tmp_path / "models" / name)

    return made
