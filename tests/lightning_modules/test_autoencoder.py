"""The autoencoder's network and training, on a handful of drawn images."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.autoencoder import FEATURES, SIZE, AutoencoderEncoder, AutoencoderImages, AutoencoderModule

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
SMALL = {"learning_rate": 0.01, "widths": (8, 16), "latent": 4}


def squares(n: int = 12) -> torch.Tensor:
    """n images of 16 x 16 pixels, white with a coloured square somewhere."""
    images = torch.full((n, 3, 16, 16), 255, dtype=torch.uint8)
    for i in range(n):
        top, left = 1 + i % 4, 1 + i // 4 * 2
        images[i, :, top : top + 8, left : left + 8] = 30
        images[i, i % 3, top : top + 8, left : left + 8] = 220
    return images


def trained(seed: int, held_out: int, steps: int) -> tuple[AutoencoderModule, dict[str, float]]:
    pl.seed_everything(seed, verbose=False)
    images = squares()
    module = AutoencoderModule(**SMALL).to(memory_format=torch.channels_last)
    data = AutoencoderImages(images, torch.arange(len(images)) < held_out, batch_size=4, seed=seed)
    trainer = pl.Trainer(max_steps=steps, max_epochs=-1, accelerator="cpu", deterministic=True, **QUIET)
    trainer.fit(module, data)
    return module.eval(), {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_the_bottleneck_is_smaller_than_the_picture_and_the_reconstruction_is_not() -> None:
    module = AutoencoderModule().eval()
    images = torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8)
    with torch.inference_mode():
        assert module.encoder(images).shape == (2, FEATURES) == (2, 1024)
        rebuilt = module(images)
    assert rebuilt.shape == images.shape and rebuilt.dtype == torch.float32
    assert float(rebuilt.min()) >= 0 and float(rebuilt.max()) <= 1


def test_the_error_is_the_mean_square_of_values_from_0_to_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the pixels are 255 and half 51 (1.0 and 0.2); a reconstruction of 0.5 is off by 0.5 and by 0.3."""
    module = AutoencoderModule(**SMALL)
    monkeypatch.setattr(module, "forward", lambda images: torch.full(images.shape, 0.5))
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    images = torch.tensor([255, 51], dtype=torch.uint8).repeat_interleave(8 * 16).reshape(1, 1, 16, 16)
    error = module.training_step((images.expand(1, 3, 16, 16),), 0)
    assert float(error) == pytest.approx((0.25 + 0.09) / 2, abs=1e-6)


def test_it_overfits_a_dozen_images() -> None:
    pl.seed_everything(0, verbose=False)
    untrained = AutoencoderModule(**SMALL)
    with torch.no_grad():
        before = float(torch.nn.functional.mse_loss(untrained(squares()), squares().float() / 255))
    module, figures = trained(0, held_out=0, steps=60)
    with torch.inference_mode():
        after = float(torch.nn.functional.mse_loss(module(squares()), squares().float() / 255))
    assert after < before / 10
    assert set(figures) == {"train/mse"}


def test_held_out_images_are_measured_and_not_learnt() -> None:
    _, figures = trained(0, held_out=4, steps=4)
    assert set(figures) == {"train/mse", "val/mse"}
    data = AutoencoderImages(squares(), torch.arange(12) < 4, batch_size=3, seed=0)
    assert sum(len(images) for (images,) in data.train_dataloader()) == 8
    assert torch.equal(torch.cat([images for (images,) in data.val_dataloader()]), squares()[:4])


def test_same_seed_same_network() -> None:
    (one, _), (again, _), (other, _) = (trained(seed, held_out=2, steps=5) for seed in (1, 1, 2))
    weights = [module.state_dict() for module in (one, again, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_the_encoder_half_stands_alone(tmp_path: Path) -> None:
    module, _ = trained(0, held_out=0, steps=5)
    alone = AutoencoderEncoder(SMALL["widths"], SMALL["latent"]).to(memory_format=torch.channels_last)
    alone.load_state_dict(module.encoder.state_dict())
    with torch.inference_mode():
        features = alone.eval()(squares())
        assert torch.equal(features, module.encoder(squares()))
        rebuilt = module.decoder(features.reshape(12, 4, 4, 4)).sigmoid()
        assert torch.equal(rebuilt, module(squares()))
