from __future__ import annotations

import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from mi_lightning.memory import bytes_as_text, free_memory, is_out_of_memory

GB = 2**30


def system(root, files):
    """A folder that looks like a Linux system."""
    for name, content in {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 8388608 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@contextmanager
def limited(more):
    """Let this process take so many bytes more than it has."""
    lines = Path("/proc/self/status").read_text().splitlines()
    used = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def test_without_limits_it_is_what_the_system_has(tmp_path):
    assert free_memory(root=system(tmp_path, {})) == 8 * GB
    assert free_memory(root=tmp_path / "nowhere") is None


@pytest.mark.parametrize("place", ["jobs/42", "jobs"])
def test_a_group_of_version_2_may_have_less_and_so_may_those_above(tmp_path, place):
    files = {
        "proc/self/cgroup": "0::/jobs/42\n",
        "sys/fs/cgroup/jobs/42/memory.max": "max\n",
        "sys/fs/cgroup/jobs/42/memory.current": f"{GB}\n",
        f"sys/fs/cgroup/{place}/memory.max": f"{4 * GB}\n",
        f"sys/fs/cgroup/{place}/memory.current": f"{3 * GB}\n",
        f"sys/fs/cgroup/{place}/memory.stat": f"anon 5\ninactive_file {GB // 2}\n",
    }
    assert free_memory(root=system(tmp_path, files)) == GB + GB // 2


@pytest.mark.parametrize("place", ["docker/7", ""])  # a container sees its own group at the top
def test_a_group_of_version_1_may_have_less(tmp_path, place):
    folder = f"sys/fs/cgroup/memory/{place}".rstrip("/")
    files = {
        "proc/self/cgroup": "5:cpu:/docker/7\n4:memory:/docker/7\n",
        f"{folder}/memory.limit_in_bytes": f"{2 * GB}\n",
        f"{folder}/memory.usage_in_bytes": f"{GB}\n",
        f"{folder}/memory.stat": "total_inactive_file 4096\n",
    }
    assert free_memory(root=system(tmp_path, files)) == GB + 4096


def test_the_limits_of_the_process_count_and_torch_says_when_they_are_reached():
    before = free_memory()
    with limited(300 * 2**20):
        left = free_memory()
        with pytest.raises(RuntimeError) as caught:
            torch.zeros(GB // 4)
    assert left <= 300 * 2**20 < before
    assert is_out_of_memory(caught.value)


def test_what_says_that_memory_was_short():
    wrapped = ValueError("the target failed")
    wrapped.__cause__ = MemoryError()
    assert is_out_of_memory(wrapped)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("could not create a memory object"))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))
    assert bytes_as_text(3.25e9) == "3.2 GB"
