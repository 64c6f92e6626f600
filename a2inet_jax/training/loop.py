"""The training loop: all ensemble members as one program, from the start or a checkpoint to the last epoch.

`folder`, which all members of a model share, holds `history.csv`, `checkpoints/` and `tensorboard/`.
Members of several runs have a subfolder per run for the table and the curves.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.config import EpochRule, Train
from a2inet_jax.errors import DivergedError
from a2inet_jax.training import batches, checkpoint, history, parallel, step
from a2inet_jax.training import loader as loaders
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.history import Progress, Record
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.members import Member, MemberIndices, TrainedMember, member_indices
from a2inet_jax.training.predict import DispatchedChunk, EvalSet
from a2inet_jax.training.runtime import Rate, TerminatedError, catch_sigterm, record_compilations


@dataclass(frozen=True)
class Callbacks:
    """Functions that the training loop calls to report on itself.

    Attributes:
        advance: Called with a text, the steps done and the steps in all.
        say: Called with a line to log.
    """

    advance: Callable[[str, int, int], None] = lambda text, done, total: None
    say: Callable[[str], None] = lambda line: None


class _Dispatched(NamedTuple):
    """A chunk of steps, and after an epoch's last one the scoring, whose results have not been read.

    Attributes:
        epoch: Epoch of the steps, from 1.
        losses: Losses of the chunk, `[S, K]` on the devices.
        steps: The steps of the chunk that count.
        num_videos: `[S, K]` int, videos of each of these steps.
        evaluation: What `_Evaluation` says; None before the end of the epoch.
    """

    epoch: int
    losses: Losses
    steps: slice
    num_videos: np.ndarray
    evaluation: "_Evaluation | None"


class _Evaluation(NamedTuple):
    """Evaluation of an epoch, on the devices.

    Attributes:
        params: The parameters that are scored with, leaves `[S, ...]`.
        finite: `[S]` bool on the devices: all of a member's parameters are finite.
        scores: Scores of the validation and the test sets, for `EvalSet.read`.
        num_videos: `[S, K]` int, videos of each step of the epoch.
    """

    params: Any
    finite: Any
    scores: list[list[DispatchedChunk]]
    num_videos: np.ndarray


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
    steps_S = [batches.num_steps(len(each.train), config.batch_size) for each in indices]
    steps_per_epoch = max(steps_S)
    label_SxN = np.stack([each.scale_labels(data.mos) for each in indices])
    keys = [member.key for member in members]
    writes = jax.process_index() == 0
    start = (
        np.array([member.seed for member in members], np.uint32),
        np.array([member.split_index for member in members], np.int32),
        np.array(steps_S, np.int32),
    )

    # Refuse a folder of another run before anything is computed.
    identity = checkpoint.fingerprint(model, data, members, config)
    checkpoint_folder = folder / "checkpoints" / _folder_name(members)
    with checkpoint.open_folder(checkpoint_folder, identity) as checkpoints:
        # Restore the latest checkpoint, if there is one; a finished run needs nothing else.
        create = functools.partial(step.create, model, config, data.widths)
        like = jax.eval_shape(create, *start)
        restored = checkpoints.load({"state": like, "best": like.evaluated})
        progress = Progress(histories=[[] for _ in members])
        if restored:
            progress = Progress(**restored[1])
            if progress.epochs == config.epochs:
                return _trained(restored[0]["best"], indices, progress, config.epoch_rule)

        def report(text: str) -> None:
            steps_done = progress.steps_done(steps_per_epoch)
            callbacks.advance(text, steps_done, config.epochs * steps_per_epoch)

        def write_history() -> None:
            if writes:
                history.write(folder, dict(zip(keys, progress.histories)))

        write_history()
        report("")

        # Bring the features and the state to the devices.
        runner = parallel.make_runner(config.parallel, len(members))
        eval_set = EvalSet(data, [each.evaluated for each in indices], runner, config)
        loader, line = loaders.make_loader(data, runner, config)
        callbacks.say(line)
        if restored:
            state, best = runner.put(restored[0]["state"]), runner.put(restored[0]["best"])
        else:
            state = runner.create(model, config, data.widths, *start)
            best, _ = runner.snapshot(state.evaluated)
        rate = Rate()

        def read(work: _Dispatched) -> None:
            """Wait for dispatched work: stages 3 to 5 of the loop."""
            nonlocal best
            # 3. Check and report the losses.
            losses_SxKx3 = np.stack(runner.get(work.losses), axis=-1)[:, work.steps]
            _check_losses(losses_SxKx3, members, work.epoch, progress.steps)
            progress.add_steps(losses_SxKx3)
            per_s = rate.add(int(work.num_videos.sum()))
            srcc = history.median_srcc(progress.histories)
            report(
                f"epoch {work.epoch}/{config.epochs}  loss {losses_SxKx3[..., 0].mean():.4f}"
                + ("" if srcc is None else f"  SRCC (val) {srcc:.3f}")
                + ("" if per_s is None else f"  {per_s:.0f} videos/s")
            )
            if work.evaluation is None:
                return

            # 4. Evaluate the epoch that has ended.
            scores = eval_set.read(work.evaluation.scores)
            finite_S = runner.get(work.evaluation.finite)
            losses_SxKx3 = np.moveaxis(np.array(progress.losses), 1, 0)
            records = []
            for s, member in enumerate(members):
                where = f"split {member.split_index}, epoch {work.epoch}"
                _check_params(where, finite_S[s], steps_per_epoch)
                _check_scores(where, scores[s], indices[s], data.ids)
                num_videos_K = work.evaluation.num_videos[s]
                means = _mean_losses(losses_SxKx3[s], num_videos_K)
                correlations = _correlations(scores[s], indices[s], data.mos)
                records.append({"epoch": work.epoch, **means, **correlations})
            progress.add_epoch(records)

            # 5. Keep the parameters of the members that it is the best epoch of.
            chosen_S = [
                history.select_epoch(each, config.epoch_rule) == work.epoch
                for each in progress.histories
            ]
            best = runner.keep(best, work.evaluation.params, np.array(chosen_S))
            write_history()
            for key, record in zip(keys, records):
                add_to_curves(key, record)

        # The device always has work: what was dispatched is read after the next work has been dispatched.
        unread: _Dispatched | None = None
        done = progress.steps  # of the epoch in whose middle the checkpoint was taken
        with (
            history.curves(folder, keys, progress.epochs, writes) as add_to_curves,
            record_compilations() as compilations,
            catch_sigterm() as should_stop,
        ):
            for epoch in range(progress.epochs + 1, config.epochs + 1):
                plan = batches.shuffled(
                    [(member.seed, member.split_index, epoch) for member in members],
                    [each.train for each in indices],
                    config.batch_size,
                    runner.padded_batch_size(config.batch_size),
                )
                num_videos_SxK = plan.where.sum(axis=2)
                for chunk in loader.chunks(plan, label_SxN, done):
                    # 1. Dispatch a chunk of steps.
                    state, losses = runner.train(
                        model, config, chunk.length, loader.features, state, chunk.inputs
                    )
                    before, done = done, done + chunk.steps.stop - chunk.steps.start
                    # After the last, score the validation and test sets, with a copy because the next step
                    # donates the state.
                    evaluation = None
                    if done == steps_per_epoch:
                        params, finite_S = runner.snapshot(state.evaluated)
                        scoring = eval_set.dispatch(model, params, loader)
                        evaluation = _Evaluation(params, finite_S, scoring, num_videos_SxK)
                    dispatched = _Dispatched(
                        epoch, losses, chunk.steps, num_videos_SxK[:, before:done], evaluation
                    )

                    # 2. Read the work before it.
                    if unread is not None:
                        read(unread)
                    unread = dispatched

                    # 6. Checkpoint every few epochs, after the last one and at a request to stop.
                    stop = should_stop()
                    due = epoch % config.checkpoint_epochs == 0 or epoch == config.epochs
                    if stop or (due and evaluation is not None):
                        read(unread)
                        unread = None
                        tree = runner.get({"state": state, "best": best})
                        steps_done = progress.steps_done(steps_per_epoch)
                        checkpoints.save(steps_done, tree, dataclasses.asdict(progress))
                    if stop:
                        raise TerminatedError("asked to stop; the checkpoint is written")
                done = 0
        callbacks.say(str(compilations))
        return _trained(runner.get(best), indices, progress, config.epoch_rule)


def _check_losses(
    losses_SxKx3: np.ndarray, members: Sequence[Member], epoch: int, steps_before: int
) -> None:
    """Raise `DivergedError` for the first step whose loss is not finite."""
    bad_KxS = ~np.isfinite(losses_SxKx3[..., 0]).T
    if bad_KxS.any():
        k, s = np.argwhere(bad_KxS)[0]
        raise DivergedError(
            f"split {members[s].split_index}, epoch {epoch}, step {steps_before + k + 1}: the loss is "
            f"{losses_SxKx3[s, k, 0]}. Lower the learning rate, or look for features that are not finite"
        )


def _check_params(where: str, finite: bool, step: int) -> None:
    """Raise `DivergedError` for parameters that are not finite after the last step of an epoch."""
    if not finite:
        raise DivergedError(
            f"{where}: a parameter is not finite after step {step}, the last. Lower the learning rate"
        )


def _check_scores(
    where: str, score_N: np.ndarray, indices: MemberIndices, ids: Sequence[str]
) -> None:
    """Raise `DivergedError` for the first video whose score is not finite."""
    if not np.isfinite(score_N).all():
        video = ids[indices.evaluated[np.flatnonzero(~np.isfinite(score_N))[0]]]
        raise DivergedError(
            f"{where}: the score of video {video} is not finite; check its features"
        )


def _mean_losses(losses_Kx3: np.ndarray, num_videos_K: np.ndarray) -> Record:
    """Average the losses of an epoch's steps over videos: short batches count less."""
    total, mae, rank = np.average(losses_Kx3, axis=0, weights=num_videos_K)
    return {"train_loss": float(total), "mae": float(mae), "rank": float(rank)}


def _correlations(score_N: np.ndarray, indices: MemberIndices, mos: np.ndarray) -> Record:
    """Correlate the scores of the validation and the test set with the labels."""
    validation, test = np.split(score_N, [len(indices.validation)])
    record: dict[str, float | None] = {}
    for name, subset, score in (
        ("val", indices.validation, validation),
        ("test", indices.test, test),
    ):
        srcc, plcc = history.correlations(score, mos[subset])
        record |= {f"{name}_srcc": srcc, f"{name}_plcc": plcc}
    return record


def _trained(
    best: Any, indices: Sequence[MemberIndices], progress: Progress, rule: EpochRule
) -> list[TrainedMember]:
    """Return the members with their best parameters, of which `best` has all, leaves `[S, ...]`."""
    return [
        TrainedMember(
            jax.tree.map(lambda x, s=s: x[s], best),
            each.label_range,
            history.select_epoch(progress.histories[s], rule),
            progress.histories[s],
        )
        for s, each in enumerate(indices)
    ]


def _folder_name(members: Sequence[Member]) -> str:
    """Return the name of the members' checkpoint folder."""
    splits = [member.split_index for member in members]
    seeds = [member.seed for member in members]
    groups = "\n".join(sorted({member.group for member in members}))
    suffix = f"_{hashlib.sha256(groups.encode()).hexdigest()[:8]}" if groups else ""
    return f"splits_{min(splits):02d}-{max(splits):02d}_seeds_{min(seeds)}-{max(seeds)}{suffix}"
