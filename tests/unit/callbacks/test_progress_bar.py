"""What the bar says."""

import io
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from closerlook.callbacks.progress_bar import TrainingProgressBar


class Model(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = self.layer(batch).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_third_epoch_of_three_is_called_so(tmp_path: Path) -> None:
    shown = io.StringIO()
    bar = TrainingProgressBar(console_kwargs={"file": shown, "force_terminal": True, "width": 160}, refresh_rate=1000)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", callbacks=[bar], logger=CSVLogger(tmp_path), enable_checkpointing=False,
        enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(Model(), torch.utils.data.DataLoader(torch.ones(4, 2), batch_size=2))
    text = shown.getvalue()
    assert "Epoch 3/3" in text
    assert "Epoch 0" not in text
    assert "loss:" in text
    assert "v_num" not in text
