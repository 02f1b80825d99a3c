"""Data-parallel training by processes that torchrun starts, on one or several machines."""

import inspect
import itertools
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import distributed

from facial_emotion_ros.core.errors import BadParameter

#: Counts the trainings that this process has joined.
_BEGUN = itertools.count()


class Processes:
    """The training processes, seen from one of them; with one process, every method is trivial.

    rank: 0 for the process that writes files.
    count: number of processes.
    """

    def __init__(self, rank: int = 0, count: int = 1, device: torch.device | None = None) -> None:
        """Take a rank; `device` is where tensors are exchanged, None for the CPU."""
        self.rank = rank
        self.count = count
        self.device = device or torch.device('cpu')

    @classmethod
    def begin(cls, device: torch.device) -> 'Processes':
        """Join the process group, if torchrun started this process.

        :param device: 'cuda' becomes the GPU of this process's local rank.
        :returns: Processes.
        :raises BadParameter: if this machine has fewer GPUs than processes.
        """
        count = int(os.environ.get('WORLD_SIZE', '1'))
        if count == 1 and 'RANK' not in os.environ:
            return cls(device=device)
        if device.type == 'cuda':
            local = int(os.environ.get('LOCAL_RANK', '0'))
            if local >= torch.cuda.device_count():
                raise BadParameter(
                    f'expected one GPU per process, process {local} of this machine finds '
                    f'{torch.cuda.device_count()}; lower --nproc-per-node'
                )
            device = torch.device('cuda', local)
            torch.cuda.set_device(device)
        # Without a prefix of its own, a second training of these processes would find the addresses of the first.
        store, rank, count = next(distributed.rendezvous('env://'))
        store = distributed.PrefixStore(f'training {next(_BEGUN)}', store)
        backend = 'nccl' if device.type == 'cuda' else 'gloo'
        distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
        return cls(rank, count, device)

    def end(self) -> None:
        """Leave the process group."""
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def average_gradients(self, loss: torch.nn.Module, partly: bool = False) -> torch.nn.Module:
        """Wrap a module so that its gradients are averaged over all processes.

        :param loss: module with trainable parameters.
        :param partly: some parameters get no gradient in a step; they are the same in all processes.
        :returns: the module to call instead.
        """
        if self.count == 1:
            return loss
        ids = [self.device.index] if self.device.type == 'cuda' else None
        kind = torch.nn.parallel.DistributedDataParallel
        newer = 'forward_sync_buffers' in inspect.signature(kind).parameters  # its name from torch 2.13 on
        syncs: dict[str, Any] = {'forward_sync_buffers' if newer else 'broadcast_buffers': False}
        return kind(loss, device_ids=ids, gradient_as_bucket_view=True, find_unused_parameters=partly, **syncs)

    def average_batch_norm(self, network: torch.nn.Module) -> None:
        """Average batch norm's running statistics over all processes."""
        statistics = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        if self.count > 1 and statistics:
            together = self.mean(torch.cat(statistics))
            for buffer, mean in zip(statistics, together.split([len(buffer) for buffer in statistics])):
                buffer.copy_(mean)

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """Broadcast tensors from the first process; shapes are the same everywhere."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def broadcast_result(self, read: Callable[[], Any]) -> Any:
        """Read in the first process and broadcast the result: other machines may lack the files.

        :param read: called in the first process; returns plain values and tensors on the CPU, or None.
        :returns: its result.
        """
        if self.count == 1:
            return read()
        states = [read() if self.is_first else None]
        distributed.broadcast_object_list(states, 0, device=self.device)
        return states[0]

    def local_rows(self, count: int) -> np.ndarray:
        """Return this process's share of `count` rows, (M,) int64."""
        return np.arange(self.rank, count, self.count)

    def gather_rows(self, mine: np.ndarray, count: int) -> np.ndarray:
        """Gather the results of :meth:`local_rows` from all processes.

        :param mine: (M, ...) float, of this process.
        :param count: number of all rows.
        :returns: (count, ...) of the same type.
        """
        if self.count == 1:
            return mine
        whole = torch.zeros((count,) + mine.shape[1:], dtype=torch.from_numpy(mine[:0]).dtype, device=self.device)
        whole[self.rank :: self.count] = torch.from_numpy(mine).to(self.device)
        distributed.all_reduce(whole)
        return whole.cpu().numpy()

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """Average a float tensor over the processes."""
        if self.count > 1:
            tensor = tensor.clone()
            distributed.all_reduce(tensor)
            tensor /= self.count
        return tensor
