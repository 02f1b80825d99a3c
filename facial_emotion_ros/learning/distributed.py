"""Several processes that train one network, as torchrun starts them: on one machine or on many."""

import inspect
import io
import os

import numpy as np
import torch
from torch import distributed

from facial_emotion_ros.errors import BadParameter


class Processes:
    """The processes that train together, seen from one of them. Alone, every method does the obvious.

    :param rank: 0 for the one that writes.
    :param count: how many there are.
    """

    def __init__(self, rank=0, count=1, device=None):
        """Take a place.

        :param device: torch.device that tensors are exchanged from; None for the CPU.
        """
        self.rank = rank
        self.count = count
        self.device = device or torch.device('cpu')

    @classmethod
    def begin(cls, device):
        """Meet the others, if torchrun started this process.

        :param device: torch.device: 'cuda' becomes the GPU of this process's place on its machine.
        :returns: Processes.
        :raises BadParameter: if this machine has fewer GPUs than processes.
        """
        count = int(os.environ.get('WORLD_SIZE', '1'))
        if count == 1 and 'RANK' not in os.environ:
            return cls(device=device)
        if device.type == 'cuda':
            local = int(os.environ.get('LOCAL_RANK', '0'))
            if local >= torch.cuda.device_count():
                raise BadParameter(f'one GPU for each process expected, process {local} of this machine finds '
                                   f'{torch.cuda.device_count()}; lower --nproc-per-node')
            device = torch.device('cuda', local)
            torch.cuda.set_device(device)
        distributed.init_process_group('nccl' if device.type == 'cuda' else 'gloo')
        return cls(distributed.get_rank(), distributed.get_world_size(), device)

    def end(self):
        """Part from the others."""
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()

    @property
    def is_first(self):
        """Whether this is the one process that writes files and speaks."""
        return self.rank == 0

    def share_gradients(self, objective, partly=False):
        """Make a module average its gradients over all processes.

        :param objective: module with parameters that learn.
        :param partly: not all of them take part in each step; which do is the same in all processes.
        :returns: a module to call instead.
        """
        if self.count == 1:
            return objective
        ids = [self.device.index] if self.device.type == 'cuda' else None
        kind = torch.nn.parallel.DistributedDataParallel
        newer = 'forward_sync_buffers' in inspect.signature(kind).parameters  # its name from torch 2.13 on
        syncs = {'forward_sync_buffers' if newer else 'broadcast_buffers': False}
        return kind(objective, device_ids=ids, gradient_as_bucket_view=True, find_unused_parameters=partly,
                    **syncs)

    def share_statistics(self, network):
        """Replace batch norm's running statistics by their mean over all processes, each of which sees other faces.

        :param network: module.
        """
        statistics = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        if self.count > 1 and statistics:
            together = self.mean(torch.cat(statistics))
            for buffer, mean in zip(statistics, together.split([len(buffer) for buffer in statistics])):
                buffer.copy_(mean)

    def same_everywhere(self, tensors):
        """Replace tensors by those of the first process.

        :param tensors: iterable of tensors of the same shapes everywhere.
        """
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def bytes_of_first(self, content):
        """Give every process what the first one read: other machines need not have its files.

        :param content: bytes or None; only the first process's counts.
        :returns: bytes, or None where the first has None.
        """
        if self.count == 1:
            return content
        size = torch.tensor([-1 if content is None else len(content)], device=self.device)  # the first one's counts
        distributed.broadcast(size, 0)
        if size.item() < 0:
            return None
        array = np.frombuffer(content, np.uint8) if self.is_first else np.empty(size.item(), np.uint8)
        tensor = torch.from_numpy(array.copy()).to(self.device)
        distributed.broadcast(tensor, 0)
        return tensor.cpu().numpy().tobytes()

    def state_of_first(self, read):
        """Give every process a state of plain tensors that the first one reads.

        :param read: called in the first process; returns the state or None.
        :returns: the state, on the CPU, or None.
        """
        if self.count == 1:
            return read()
        content = None
        if self.is_first:
            state = read()
            if state is not None:
                buffer = io.BytesIO()
                torch.save(state, buffer)
                content = buffer.getvalue()
        content = self.bytes_of_first(content)
        return None if content is None else torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)

    def rows_of_mine(self, count):
        """Share rows out.

        :param count: number of rows.
        :returns: (M,) int64, those of this process.
        """
        return np.arange(self.rank, count, self.count)

    def gather_rows(self, mine, count):
        """Bring together what each process made of its rows.

        :param mine: (M, ...) float array of this process's rows, as :meth:`rows_of_mine` shared them out.
        :param count: number of all rows.
        :returns: (count, ...) array of the same kind.
        """
        if self.count == 1:
            return mine
        whole = torch.zeros((count,) + mine.shape[1:], dtype=torch.from_numpy(mine[:0]).dtype, device=self.device)
        whole[self.rank::self.count] = torch.from_numpy(mine).to(self.device)
        distributed.all_reduce(whole)
        return whole.cpu().numpy()

    def mean(self, tensor):
        """Average a tensor over the processes.

        :param tensor: float tensor.
        :returns: tensor.
        """
        if self.count > 1:
            tensor = tensor.clone()
            distributed.all_reduce(tensor)
            tensor /= self.count
        return tensor
