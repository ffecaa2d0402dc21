"""Where networks are trained: all tensors are on one device, also without a GPU here."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from fitstream.errors import Rejected
from fitstream.trainer.automl import SPACE
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.network import make_network
from fitstream.trainer.training import CPU, CUDA, device_of, moved, pinball_loss
from fitstream.trainer.windows import Issue, Look, Reach, make_windows
from tests.unit.trainer_factories import make_series

REACH = Reach(8, 1)


@pytest.mark.parametrize("shape", SPACE[:2], ids=lambda shape: shape.kind)
def test_all_tensors_of_a_forecast_and_its_loss_are_on_the_gpu(shape: object) -> None:
    windows = make_windows({"a": make_series()}, Look("steps", REACH), [Issue("a", 12, 12)])
    network = make_network(Kernel(), REACH, shape, seed=0)  # type: ignore[arg-type]
    batch = network.batch(windows, torch.float32)
    with FakeTensorMode(allow_non_fake_inputs=True):  # refuses to mix devices, computes nothing
        weights = {
            name: torch.empty(value.shape, device=CUDA, requires_grad=True)
            for name, value in network.named_parameters()
        }
        forecast = functional_call(network, weights, (moved(batch, CUDA),))
        truth = torch.from_numpy(windows.truth).to(CUDA)
        known = torch.from_numpy(windows.count > 0).to(CUDA)
        loss = pinball_loss(forecast, truth, known, torch.ones(1, 1, device=CUDA))
    assert forecast.device.type == loss.device.type == CUDA


def test_without_a_gpu_auto_means_the_cpu_and_cuda_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto") == device_of("cpu") == CPU
    with pytest.raises(Rejected) as refused:
        device_of("cuda")
    assert refused.value.code == "no_gpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [device_of(each) for each in ("auto", "cuda", "cpu")] == [CUDA, CUDA, CPU]
