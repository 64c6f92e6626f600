"""The training loop: all ensemble members as one program, from the start or a checkpoint to the last epoch.

`folder`, which all members of a model share, holds `metrics.csv`, `checkpoints/` and `tensorboard/`.
Members of several runs have a subfolder per run for the table and the curves.

The loop keeps the device busy: results are read only after the work that follows them has been dispatched.
"""

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.errors import DivergedError
from a2inet_jax.training import batch_plan, fingerprint, history, jitted_steps, parallel
from a2inet_jax.training import loader as loaders
from a2inet_jax.training.checkpoint import Checkpoints, open_folder
from a2inet_jax.training.compilations import record_compilations
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.eval_set import EvalSet
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.members import Member, MemberIndices, TrainedMember, member_indices
from a2inet_jax.training.progress import Progress
from a2inet_jax.training.termination import ShouldStop, TerminatedError, catch_sigterm


@dataclass(frozen=True)
class Callbacks:
    """Functions that the training loop calls to report on itself.

    Attributes:
        advance: Called with a text, the steps done and the steps in all.
        say: Called with a line to log.
    """

    advance: Callable[[str, int, int], None] = lambda text, done, total: None
    say: Callable[[str], None] = lambda line: None


def train(
    model: nn.Module,
    data: TrainingData,
    members: Sequence[Member],
    config: Train,
    folder: Path,
    callbacks: Callbacks = Callbacks(),
) -> list[TrainedMember]:
    """Train a model on each member's split, or resume from the latest checkpoint.

    The numbers depend on model, data, members and config alone: a run that was killed and resumed ends like
    an uninterrupted one, bit for bit on a CPU. A finished run is read back from its checkpoint. Trained with
    others, a member ends where it would alone, but for rounding.

    Args:
        model: `model.apply({"params": p}, streams, mask, keys)` returns `Outputs`.
        data: At least all videos of the splits.
        members: Members that differ in group, split or seed.
        config: How to train.
        folder: Folder of the model; runs of other members may share it.
        callbacks: Receive progress and log lines.

    Returns:
        For each member, the parameters of the epoch that the epoch rule selects, and the history.

    Raises:
        RunError: The folder holds a run with another config, model, data or splits.
        DataError: Videos have no features, or all labels of a training set are equal.
        TrainingError: The epoch rule has too few videos to choose by.
        DivergedError: A loss, a parameter or a score is not finite. The checkpoint before it is kept.
        TerminatedError: SIGTERM came, and a checkpoint was written.
    """
    indices = [member_indices(member, data, config) for member in members]

    # Refuse a folder of another run before anything is computed.
    checkpoint_folder = folder / "checkpoints" / _folder_name(members)
    fingerprint.claim(checkpoint_folder, fingerprint.compute(model, data, members, config))

    # Restore the latest checkpoint, if there is one.
    steps_S = [batch_plan.num_steps(len(each.train), config.batch_size) for each in indices]
    start = (
        np.array([member.seed for member in members], np.uint32),
        np.array([member.split_index for member in members], np.int32),
        np.array(steps_S, np.int32),
    )
    create = functools.partial(jitted_steps.create, model, config, data.widths)
    like = jax.eval_shape(create, *start)
    with open_folder(checkpoint_folder) as checkpoints:
        tree: Any = None
        best: Any = None
        progress = Progress(histories=[[] for _ in members])
        if restored := checkpoints.load({"state": like, "best": like.evaluated}):
            tree, progress = restored[0], Progress(**restored[1])
            best = tree["best"]

        # Train the epochs that remain.
        if progress.epochs < config.epochs:
            loop = _TrainingLoop(
                model, data, members, indices, config, folder, callbacks, checkpoints
            )
            best = loop.run(tree, start, progress)
    return [
        TrainedMember(
            jax.tree.map(lambda x, s=s: x[s], best),
            indices[s].label_range,
            history.select_epoch(progress.histories[s], config.epoch_rule),
            progress.histories[s],
        )
        for s in range(len(members))
    ]


class _TrainingLoop:
    """The loop over epochs, and the training state on the devices.

    The device always has work: `pending` reads the result of the latest dispatched work, and is only called
    after the next work has been dispatched.
    """

    def __init__(
        self,
        model: nn.Module,
        data: TrainingData,
        members: Sequence[Member],
        indices: Sequence[MemberIndices],
        config: Train,
        folder: Path,
        callbacks: Callbacks,
        checkpoints: Checkpoints,
    ) -> None:
        self.model, self.data, self.members, self.indices = model, data, members, indices
        self.config, self.folder, self.callbacks = config, folder, callbacks
        self.checkpoints = checkpoints
        self.runner = parallel.make_runner(config.parallel, len(members))
        self.eval_set = EvalSet(data, [each.evaluated for each in indices], self.runner, config)
        self.label_SxN = np.stack([each.scale_labels(data.mos) for each in indices])
        self.steps_per_epoch = max(
            batch_plan.num_steps(len(each.train), config.batch_size) for each in indices
        )
        self.writes = jax.process_index() == 0
        self.pending: Callable[[], None] = _nothing_pending
        self.videos_seen = 0
        self.timed_since: float | None = None

    def run(self, tree: Any, start: Any, progress: Progress) -> Any:
        """Train to the last epoch, updating `progress`; return the best parameters."""
        config, runner = self.config, self.runner
        self.progress = progress
        keys = [member.key for member in self.members]
        self._write_history()
        self.callbacks.advance("", self._steps_done(), config.epochs * self.steps_per_epoch)

        # Bring the features and the state to the devices.
        loader, line = loaders.make_loader(self.data, runner, config)
        self.callbacks.say(line)
        if tree is None:
            self.state = runner.create(self.model, config, self.data.widths, *start)
            self.best, _ = runner.snapshot(self.state.evaluated)
        else:
            self.state, self.best = runner.put(tree["state"]), runner.put(tree["best"])

        # Train, with a checkpoint every few epochs, after the last one and at a request to stop.
        curves = history.curves(self.folder, keys, progress.epochs, self.writes)
        with (
            curves as self.add_to_curves,
            record_compilations() as compilations,
            catch_sigterm() as should_stop,
        ):
            for epoch in range(progress.epochs + 1, config.epochs + 1):
                self._dispatch_epoch(epoch, loader, should_stop)
                stop = should_stop()
                if stop or epoch % config.checkpoint_epochs == 0 or epoch == config.epochs:
                    self._save(stop)
        self.callbacks.say(str(compilations))
        return runner.get(self.best)

    def _dispatch_epoch(self, epoch: int, loader: loaders.Loader, should_stop: ShouldStop) -> None:
        """Dispatch the steps and the scoring of an epoch; after each, read the work before it."""
        config, runner = self.config, self.runner
        plan = batch_plan.shuffled(
            [(member.seed, member.split_index, epoch) for member in self.members],
            [each.train for each in self.indices],
            config.batch_size,
            runner.padded_batch_size(config.batch_size),
        )
        # A resumed epoch continues where its checkpoint was taken.
        done = self.progress.steps if self.progress.epochs == epoch - 1 else 0

        # Train chunk by chunk.
        for chunk in loader.chunks(plan, self.label_SxN, done):
            self.state, losses = runner.train(
                self.model, config, chunk.length, loader.features, self.state, chunk.inputs
            )
            self._read_pending()
            before, done = done, done + chunk.steps.stop - chunk.steps.start
            where = plan.where[:, before:done]
            self.pending = functools.partial(self._read_losses, epoch, losses, chunk.steps, where)
            if done < self.steps_per_epoch and should_stop():
                self._save(stop=True)

        # Score the validation and test sets with a copy, because the next step donates the state.
        candidate, finite = runner.snapshot(self.state.evaluated)
        scoring = self.eval_set.start(self.model, candidate, loader)
        self._read_pending()
        self.pending = functools.partial(
            self._read_epoch, epoch, plan.where, candidate, finite, scoring
        )

    def _read_pending(self) -> None:
        pending, self.pending = self.pending, _nothing_pending
        pending()

    def _read_losses(
        self, epoch: int, losses: Losses, steps: slice, where_SxKxB: np.ndarray
    ) -> None:
        """Wait for the losses of a chunk, and report progress; `where_SxKxB` covers only its real steps."""
        # The total, MAE and rank loss.
        losses_SxKx3 = np.stack(self.runner.get(losses), axis=-1)[:, steps]
        bad_SxK = ~np.isfinite(losses_SxKx3[..., 0])
        if bad_SxK.any():
            k, s = np.argwhere(bad_SxK.T)[0]
            raise DivergedError(
                f"split {self.members[s].split_index}, epoch {epoch}, step {self.progress.steps + k + 1}: "
                f"the loss is {losses_SxKx3[s, k, 0]}. Lower the learning rate, or look for features that "
                "are not finite"
            )
        self.progress.losses += np.moveaxis(losses_SxKx3, 1, 0).tolist()
        self.progress.steps += losses_SxKx3.shape[1]
        # The first call compiles, so the rate is taken from the second one on.
        if self.timed_since is None:
            self.timed_since = time.perf_counter()
            rate = ""
        else:
            self.videos_seen += int(where_SxKxB.sum())
            rate = f"  {self.videos_seen / (time.perf_counter() - self.timed_since):.0f} videos/s"
        self.callbacks.advance(
            f"epoch {epoch}/{self.config.epochs}  loss {losses_SxKx3[..., 0].mean():.4f}"
            f"{self._median_srcc()}{rate}",
            self._steps_done(),
            self.config.epochs * self.steps_per_epoch,
        )

    def _read_epoch(
        self, epoch: int, where_SxKxB: np.ndarray, candidate: Any, finite: Any, scoring: Any
    ) -> None:
        """Wait for the scores of an epoch, record it, and keep the parameters of members it is best for."""
        progress = self.progress
        scores = self.eval_set.read(scoring)
        finite_S = self.runner.get(finite)
        losses_KxSx3 = np.array(progress.losses)
        chosen_S = []
        for s, (member, indices) in enumerate(zip(self.members, self.indices)):
            self._check_finite(epoch, member, indices, finite_S[s], scores[s])

            # Average the losses over videos: short batches count less.
            total, mae, rank = np.average(
                losses_KxSx3[:, s], axis=0, weights=where_SxKxB[s].sum(axis=1)
            )
            record: dict[str, Any] = {"epoch": epoch}
            record |= {"train_loss": float(total), "mae": float(mae), "rank": float(rank)}

            # Correlate the scores with the labels.
            validation, test = np.split(scores[s], [len(indices.validation)])
            for name, subset, score in (
                ("val", indices.validation, validation),
                ("test", indices.test, test),
            ):
                srcc, plcc = history.correlations(score, self.data.mos[subset])
                record |= {f"{name}_srcc": srcc, f"{name}_plcc": plcc}

            progress.histories[s].append(record)
            rule = self.config.epoch_rule
            chosen_S.append(history.select_epoch(progress.histories[s], rule) == epoch)
            self.add_to_curves(member.key, record)
        self.best = self.runner.keep(self.best, candidate, np.array(chosen_S))
        progress.epochs, progress.steps, progress.losses = epoch, 0, []
        self._write_history()

    def _check_finite(
        self,
        epoch: int,
        member: Member,
        indices: MemberIndices,
        finite: bool,
        scores_N: np.ndarray,
    ) -> None:
        """Raise `DivergedError` for parameters or scores that are not finite after an epoch."""
        if not finite:
            raise DivergedError(
                f"split {member.split_index}, epoch {epoch}: a parameter is not finite after step "
                f"{self.steps_per_epoch}, the last. Lower the learning rate"
            )
        if not np.isfinite(scores_N).all():
            video = self.data.ids[indices.evaluated[np.flatnonzero(~np.isfinite(scores_N))[0]]]
            raise DivergedError(
                f"split {member.split_index}, epoch {epoch}: the score of video {video} is not finite; "
                "check its features"
            )

    def _save(self, stop: bool) -> None:
        """Start to write a checkpoint of all dispatched work; if `stop`, end the loop."""
        self._read_pending()
        tree = self.runner.get({"state": self.state, "best": self.best})
        self.checkpoints.save(self._steps_done(), tree, dataclasses.asdict(self.progress))
        if stop:
            raise TerminatedError("asked to stop; the checkpoint is written")

    def _write_history(self) -> None:
        if self.writes:
            keys = [member.key for member in self.members]
            history.write(self.folder, dict(zip(keys, self.progress.histories)))

    def _steps_done(self) -> int:
        return self.progress.epochs * self.steps_per_epoch + self.progress.steps

    def _median_srcc(self) -> str:
        """Return the last epoch's median SRCC on the validation sets or, without these, the test sets."""
        latest = [each[-1] for each in self.progress.histories if each]
        for subset in ("val", "test"):
            values = [v for record in latest if (v := record[f"{subset}_srcc"]) is not None]
            if values:
                return f"  SRCC ({subset}) {np.median(values):.3f}"
        return ""


def _nothing_pending() -> None:
    """Read nothing."""


def _folder_name(members: Sequence[Member]) -> str:
    """Return the name of the members' checkpoint folder."""
    splits = [member.split_index for member in members]
    seeds = [member.seed for member in members]
    groups = "\n".join(sorted({member.group for member in members}))
    suffix = f"_{hashlib.sha256(groups.encode()).hexdigest()[:8]}" if groups else ""
    return f"splits_{min(splits):02d}-{max(splits):02d}_seeds_{min(seeds)}-{max(seeds)}{suffix}"
