"""Weights that others publish, by name: where they are, and getting them once.

The file names carry the first digits of the SHA-256, or its publisher's page has all of them; both are checked.
"""

import difflib
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import urlsplit

from engine.data.cache import acquire, cache_folder, held, writing
from engine.data.checksum import Digest, check_digest
from engine.data.download import Remote, download
from engine.errors import UserError
from engine.events import Progress
from engine.text import one_line

MOST_BYTES = 512 << 20
"""ResNet-152 has 230 million."""

_AKAMASTER = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/"
_CHENYAOFO = "https://github.com/chenyaofo/pytorch-cifar-models/releases/download/resnet/"
_FILES = {
    "akamaster:resnet20": f"{_AKAMASTER}resnet20-12fca82f.th",
    "akamaster:resnet32": f"{_AKAMASTER}resnet32-d509ac18.th",
    "akamaster:resnet44": f"{_AKAMASTER}resnet44-014dd654.th",
    "akamaster:resnet56": f"{_AKAMASTER}resnet56-4bfd9763.th",
    "akamaster:resnet110": f"{_AKAMASTER}resnet110-1d1ed7c2.th",
    "akamaster:resnet1202": f"{_AKAMASTER}resnet1202-f3b1deed.th",
    "chenyaofo:cifar10_resnet20": f"{_CHENYAOFO}cifar10_resnet20-4118986f.pt",
    "chenyaofo:cifar10_resnet32": f"{_CHENYAOFO}cifar10_resnet32-ef93fc4d.pt",
    "chenyaofo:cifar10_resnet44": f"{_CHENYAOFO}cifar10_resnet44-2a3cabcb.pt",
    "chenyaofo:cifar10_resnet56": f"{_CHENYAOFO}cifar10_resnet56-187c023a.pt",
    "chenyaofo:cifar100_resnet20": f"{_CHENYAOFO}cifar100_resnet20-23dac2f1.pt",
    "chenyaofo:cifar100_resnet32": f"{_CHENYAOFO}cifar100_resnet32-84213ce6.pt",
    "chenyaofo:cifar100_resnet44": f"{_CHENYAOFO}cifar100_resnet44-ffe32858.pt",
    "chenyaofo:cifar100_resnet56": f"{_CHENYAOFO}cifar100_resnet56-f2eff4c8.pt",
}
_WHOLE_SHA256 = {
    "akamaster:resnet20": "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8",
    "akamaster:resnet32": "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850",
    "akamaster:resnet44": "014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4",
    "akamaster:resnet56": "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367",
}


def _from_torchvision(depth: int) -> Callable[[], str]:
    def url() -> str:
        import torchvision.models  # takes seconds

        return str(getattr(torchvision.models, f"ResNet{depth}_Weights").IMAGENET1K_V1.url)

    return url


_TORCHVISION = {f"torchvision:resnet{depth}": _from_torchvision(depth) for depth in (18, 34, 50, 101, 152)}
NAMES = (*_TORCHVISION, *_FILES)
"""What ``fetch`` can get."""
_PUBLISHERS = tuple(dict.fromkeys(name.partition(":")[0] for name in NAMES))


def is_published(source: str) -> bool:
    """Whether ``source`` is meant as a published name, known or not."""
    publisher, colon, _ = source.partition(":")
    return bool(colon) and publisher in _PUBLISHERS


def remote_of(name: str) -> Remote:
    """Return where the weights of that name are, and what they must be.

    Raises:
        UserError: there is no such name; the message has the nearest.
    """
    if name not in NAMES:
        nearest = difflib.get_close_matches(name, NAMES, n=3)
        publisher = name.partition(":")[0]
        others = ", ".join(nearest or [known for known in NAMES if known.startswith(f"{publisher}:")])
        raise UserError(f"{one_line(name, 200)!r} is not a published name that is known; the nearest: {others}")
    url = _FILES[name] if name in _FILES else _TORCHVISION[name]()
    in_name = Path(urlsplit(url).path).stem.rpartition("-")[2]
    return Remote(url, Digest("sha256", _WHOLE_SHA256.get(name, in_name)), MOST_BYTES)


def fetch(name: str) -> Generator[Progress, None, Path]:
    """Return the file of that name in the cache folder, checked; downloaded where it is not there.

    Raises:
        UserError: there is no such name.
        WorldError: no network, a damaged file, a full disk.
    """
    remote = remote_of(name)
    folder = cache_folder() / "weights"
    target = folder / remote.url.rpartition("/")[2]
    where = one_line(str(folder))
    if not target.is_file():
        with writing(folder):
            lock = yield from acquire(
                folder / f".{target.name}.lock", f"waiting for another process that gets {name}"
            )
            with held(lock):
                if not target.is_file():  # the other process may have got it
                    yield from download(
                        remote, target, f"what to do instead: put the file {target.name} into {where} by hand"
                    )
    yield from check_digest(target, remote.digest, "remove it; then it is downloaded anew when it is next used")
    return target
