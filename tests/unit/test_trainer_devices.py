"""Where networks are trained: all tensors are on one device, also without a GPU here."""

from copy import deepcopy
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from fitstream.errors import Rejected
from fitstream.trainer.automl import SPACE
from fitstream.trainer.checkpoint import Header, decode_checkpoint, encode_checkpoint
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.network import Network, make_network
from fitstream.trainer.models.shape import Shape
from fitstream.trainer.training import (
    CPU,
    CUDA,
    Fit,
    Task,
    device_of,
    fit_state,
    moved,
    new_fit,
    pinball_loss,
    resume_fit,
    run_fit,
    take_step,
)
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


def on_the_gpu(task: Task, network: Network) -> Fit:
    """A fit of the network as it begins on a GPU; to be called where tensors are fake."""
    for name, value in list(network.named_parameters()):
        home, _, last = name.rpartition(".")
        moved_there = torch.nn.Parameter(torch.empty(value.shape, device=CUDA))
        setattr(network.get_submodule(home), last, moved_there)
    named = dict(network.named_parameters())
    start, average, best = (
        {name: value.detach().clone() for name, value in named.items()} for _ in range(3)
    )
    return Fit(
        replace(task, device=CUDA), network, torch.optim.Adam(named.values()), start, average, best
    )


@pytest.mark.parametrize("shape", SPACE[:2], ids=lambda shape: shape.kind)
def test_a_fit_that_goes_on_from_its_checkpoint_takes_its_next_step_on_the_gpu(
    shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, known = Look("steps", REACH), {"a": make_series()}
    windows = make_windows(known, look, [Issue("a", day, day) for day in (11, 12)])
    begun = new_fit(Task(Kernel(), shape, windows, windows, seed=0))
    run_fit(begun, 1, lambda _: None)
    header = Header(run_key="job", progress=begun.progress)
    found = decode_checkpoint(encode_checkpoint(header, fit_state(begun)), "job")
    assert found is not None
    network = deepcopy(begun.network)
    adam = import_module("torch.optim.adam")
    monkeypatch.setattr(adam, "_get_value", lambda _: 1.0)  # a fake count of steps has no value
    with FakeTensorMode(allow_non_fake_inputs=True):  # refuses to mix devices, computes nothing
        fit = on_the_gpu(begun.task, network)

        def backward(_: torch.Tensor) -> None:  # autograd itself asks the driver, which is not here
            for parameter in fit.network.parameters():
                parameter.grad = torch.empty_like(parameter)

        monkeypatch.setattr(torch.autograd, "backward", backward)
        resume_fit(fit, found[0].progress, found[1])
        loss = take_step(fit, windows, np.ones(2, np.float32))
    assert loss.device.type == CUDA
    states = list(fit.optimizer.state.values())
    assert states
    assert {state["exp_avg"].device.type for state in states} == {CUDA}
    assert {value.device.type for value in (*fit.average.values(), *fit.best.values())} == {CUDA}


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
