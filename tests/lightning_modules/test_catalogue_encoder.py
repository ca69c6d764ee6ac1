"""The catalogue encoder's network, batches and training, on a handful of coloured squares."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
import torch

from lightning_modules.catalogue_encoder import (
    FEATURES,
    HEIGHT,
    NO_LABEL,
    WIDTH,
    CatalogueEncoderModule,
    CatalogueImages,
)

CLASSES = {"colour": 3, "pattern": 2}
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}


def squares(n: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """n images of which channel i % 3 is bright; labels are that channel, and nothing for the pattern."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 60, (n, 3, HEIGHT, WIDTH), generator=generator, dtype=torch.uint8)
    colour = torch.arange(n) % 3
    images[torch.arange(n), colour] += 150
    return images, torch.stack([colour, torch.full((n,), NO_LABEL)], dim=1)


def data(held_out: int = 6) -> CatalogueImages:
    images, labels = squares()
    return CatalogueImages(images, labels, torch.arange(len(images)) < held_out, batch_size=8, seed=0)


def test_shapes() -> None:
    module = CatalogueEncoderModule(CLASSES, steps=1).eval()
    with torch.inference_mode():
        features = module(squares(2)[0])
    assert features.shape == (2, FEATURES) and features.dtype == torch.float32 and (features >= 0).all()


def test_fast_dev_run(tmp_path: Path) -> None:
    trainer = pl.Trainer(fast_dev_run=True, accelerator="cpu", default_root_dir=tmp_path, **QUIET)
    trainer.fit(CatalogueEncoderModule(CLASSES, steps=1), data())
    assert set(trainer.callback_metrics) >= {"train/loss", "val/accuracy_colour"}
    assert "val/accuracy_pattern" not in trainer.callback_metrics  # nothing is labelled, so nothing is measured


def test_loss_falls_and_a_checkpoint_is_the_same_network(tmp_path: Path) -> None:
    pl.seed_everything(0, verbose=False)
    module, steps = CatalogueEncoderModule(CLASSES, steps=30), 30
    images, labels = squares()
    with torch.no_grad():
        before = module.training_step((images, labels), 0)
    trainer = pl.Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", enable_checkpointing=False,
        default_root_dir=tmp_path, **QUIET,
    )  # fmt: skip
    trainer.fit(module, data())
    assert float(trainer.callback_metrics["train/loss"]) < 0.6 * float(before)
    assert float(trainer.callback_metrics["val/accuracy_colour"]) == 1.0

    trainer.save_checkpoint(tmp_path / "encoder.ckpt")
    again = CatalogueEncoderModule.load_from_checkpoint(tmp_path / "encoder.ckpt", weights_only=True)
    with torch.inference_mode():
        assert torch.equal(again.eval()(images), module.eval()(images))


def test_missing_labels_cost_nothing() -> None:
    module = CatalogueEncoderModule(CLASSES, steps=1).eval()
    images, labels = squares(4)
    both = module.training_step((images, labels), 0)
    colour_only = CatalogueEncoderModule({"colour": 3}, steps=1).eval()
    colour_only.load_state_dict({k: v for k, v in module.state_dict().items() if "pattern" not in k})
    assert torch.allclose(both, colour_only.training_step((images, labels[:, :1]), 0))
    nothing = module.training_step((images, torch.full_like(labels, NO_LABEL)), 0)
    assert float(nothing) == 0.0  # not NaN
