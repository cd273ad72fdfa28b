"""The training loop: take crops, learn from them (see learner.py), step.

One CPU or GPU:   shortvox train config.yaml --corpus DIR --out DIR
One node, n GPUs: torchrun --nproc-per-node n -m shortvox train config.yaml …
Many nodes:       the same with torchrun's --nnodes, --node-rank and --rdzv-endpoint

Every random choice is a function of (seed, step, item), so a checkpoint needs no generator state, and a training that
was killed and resumed ends with the same weights, bit for bit (CPU, fp32, same number of threads).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from shortvox.corpora.speech import SpeechData
from shortvox.environment import Environment, environment, where_it_ran
from shortvox.errors import ConfigError, CorpusError, ShortvoxError
from shortvox.files import write_json
from shortvox.models.folder import load_model, save_model, write_card
from shortvox.models.sidefiles import unfit_names
from shortvox.models.speaker_model import SpeakerModel, load_tensors, tensors_of
from shortvox.training.averaging import NORM_BATCHES, accumulate, averaged_steps, estimate_norms
from shortvox.training.batches import Batch, Relay, TrainingBatches, speaker_names
from shortvox.training.branches import TeacherSettings
from shortvox.training.centring import centre_embeddings
from shortvox.training.centroids import FOLLOWING, utterance_centroids
from shortvox.training.checkpoint import load_latest, save_checkpoint
from shortvox.training.distributed import Placement, placement
from shortvox.training.domains import domains_of
from shortvox.training.folder import describe, identity, training_folder
from shortvox.training.interrupt import Interruptible
from shortvox.training.learner import Learner
from shortvox.training.optim import learning_rate, make_optimiser
from shortvox.training.parts import TransferSettings
from shortvox.training.settings import TrainSettings
from shortvox.training.state import Progress, require_fit, restore, snapshot
from shortvox.training.targets import utterance_targets
from shortvox.training.tracking import Tracker
from shortvox.training.transfer import blend, freeze, transfer

Validate = Callable[[SpeakerModel], dict[str, float]]
OnStep = Callable[[int, int, str], None]
LOG_EVERY = 10


def train(
    settings: TrainSettings,
    data: SpeechData,
    out: Path,
    *,
    init: Path | None = None,
    resume: bool = False,
    validate: Validate | None = None,
    on_step: OnStep | None = None,
    cache: Path | None = None,
) -> SpeakerModel:
    """Train on `data` and leave a model folder at `out`; returns the model, in evaluation mode.

    `init` starts from another model folder (see transfer). `resume` continues from the last checkpoint in `out`, or
    returns what is there when the training is done. `validate` is asked for figures every `validation.every` steps
    and at the end. `cache` keeps what teachers say of whole utterances, for other trainings; by default `out` does.

    Raises ShortvoxError for settings that do not fit the data, and KeyboardInterrupt, after writing a checkpoint, when
    the process is asked to stop.
    """
    settings = settings.counted(len(data.corpus))
    if settings.threads:
        torch.set_num_threads(settings.threads)
    with (
        placement(settings.device) as place,
        training_folder(out, resume=resume, leads=place.leads),
        Interruptible() as interrupt,
    ):
        if settings.batch % (place.ranks * settings.accumulate):
            raise ConfigError(
                f"batch: {settings.batch} cannot be dealt to {place.ranks} ranks in "
                f"{settings.accumulate} parts each; choose a multiple"
            )
        source = load_model(init).to(place.device) if init else None
        teachers = _load_teachers(settings)
        run = describe(out, settings, identity(settings, data.corpus, source, teachers)) if place.leads else None
        if resume and (out / "config.yaml").exists():
            return load_model(out).to(place.device)
        model = _initial_model(settings, data, source).to(place.device)
        freeze(model, settings.transfer)
        settings = settings.simplified()
        start = {}
        if settings.transfer.blend < 1:
            start = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
        names = model.speakers or speaker_names(data.corpus.speakers, settings.augment.speeds)  # rows, or none of them
        # Before teachers hear for hours: they refuse what cannot be augmented with.
        batches = TrainingBatches(data.corpus, data.store, settings, names, rank=place.rank, ranks=place.ranks)
        targets = _hear_utterances(settings, data, teachers, cache or out / "targets", place, interrupt, on_step)
        learner = Learner(model, settings, place, {name: teachers[name] for name in settings.teachers}, targets)
        trained = _run(settings, data, batches, model, start, learner, out, run, place, interrupt, validate, on_step)
    if trained is None:
        raise KeyboardInterrupt  # only now, so that no traceback keeps the ranks' network alive past their group
    return trained


def _run(
    settings: TrainSettings,
    data: SpeechData,
    batches: TrainingBatches,
    model: SpeakerModel,
    start: Mapping[str, Tensor],
    learner: Learner,
    out: Path,
    run: str | None,
    place: Placement,
    interrupt: Interruptible,
    validate: Validate | None,
    on_step: OnStep | None,
) -> SpeakerModel | None:
    """The loop itself; None when it was asked to stop, and a checkpoint is written."""
    learning = {**model.modules(), "extras": learner.extras}
    optimiser = make_optimiser(learning, settings.optimiser)
    average: dict[str, Tensor] = {}
    done, here = Progress.start(), environment(place.device)
    latest = load_latest(
        out / "checkpoints", run, lambda found: require_fit(found, learning, optimiser, settings.steps)
    )
    if latest is not None:
        done = restore(latest, learning, optimiser, average, here)
    parallel = place.wrap(learner)
    rows = FOLLOWING[settings.transfer.refresh](model, data, settings)
    tracker = Tracker(out, enabled=settings.tensorboard and place.leads, done=done.step)
    averaged = averaged_steps(settings)
    clock = time.monotonic()
    learner.train()
    for step, batch in _loaded(batches, range(done.step, settings.steps), settings):
        rows.before_step(step)
        rate = learning_rate(step, settings.steps, settings.optimiser.lr, settings.schedule)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["share"]
        share = _learn(parallel, batch, optimiser, settings, step, place) / place.ranks
        rows.after_step(*learner.spoken())
        # Known to all ranks, so that they go on, or stop, together.
        loss, seconds, wrapped, stop = place.total(share, batch.seconds, batch.wrapped, interrupt.requested)
        if not torch.isfinite(torch.tensor(loss)):
            raise ShortvoxError(
                f"{out}: the loss is not finite at step {step}; lower optimiser.lr "
                f"(now {settings.optimiser.lr:g}) and train again"
            )
        done.step = step + 1
        done.seconds_heard += seconds
        done.wrapped += int(wrapped)
        done.recent.append(loss)
        if done.step in averaged:
            accumulate(average, tensors_of(learning), done)
        if done.step % LOG_EVERY == 0 or done.step == settings.steps:
            done.loss.append((done.step, round(sum(done.recent) / len(done.recent), 5)))
            tracker.write(done.step, {"loss": done.loss[-1][1], "learning rate": rate})
            done.recent.clear()
        ending = done.step == settings.steps
        if validate and place.leads and not ending and _due(done.step, settings.validation.every):
            _validate(validate, model, tracker, done)
            learner.train()
        if on_step is not None and place.leads:
            on_step(done.step, settings.steps, _status(done, loss))
        if not ending and run is not None and (stop or _due(done.step, settings.checkpoint_every)):
            done.wall_seconds, clock = done.wall_seconds + time.monotonic() - clock, time.monotonic()
            save_checkpoint(out / "checkpoints", done.step, snapshot(learning, optimiser, average, done, run, here))
        if not ending and stop:
            return None
    if average:
        load_tensors(learning, average)
        last = _loaded(batches, range(max(0, settings.steps - NORM_BATCHES), settings.steps), settings)
        estimate_norms(learner, (part for step, batch in last for part in _parts(batch, settings, step)))
    if settings.transfer.blend < 1:
        blend(model.backbone, start, settings.transfer.blend)
    if settings.transfer.centre != "none":
        domains = domains_of(data.corpus, settings) if settings.transfer.centre == "domain" else ()
        if on_step is not None and place.leads:
            on_step(settings.steps, settings.steps, "centring: hears the corpus once more")
        centre_embeddings(model, data, domains)
    done.wall_seconds += time.monotonic() - clock
    model.eval()
    if validate and place.leads:
        _validate(validate, model, tracker, done)
    tracker.close()
    if place.leads:
        _finish(out, model, settings, data, done, here)
    return model


def _loaded(batches: TrainingBatches, steps: range, settings: TrainSettings) -> Iterator[tuple[int, Batch]]:
    """The batches of `steps` with their numbers, prepared by workers where there are any."""
    loader = DataLoader(Relay(batches), batch_size=None, sampler=steps, num_workers=settings.workers)
    for step, batch in zip(steps, loader, strict=True):
        if isinstance(batch, ShortvoxError):
            raise batch
        yield step, batch


def _parts(batch: Batch, settings: TrainSettings, step: int) -> list[tuple[Batch, torch.Generator]]:
    """A batch cut into `accumulate` parts, each with what its SpecAugment is drawn from."""
    seed = (settings.seed * 1_000_003 + settings.begin + step) * 64
    return [
        (part, torch.Generator().manual_seed(seed + number))
        for number, part in enumerate(batch.split(settings.accumulate))
    ]


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _validate(validate: Validate, model: SpeakerModel, tracker: Tracker, done: Progress) -> None:
    figures = validate(model)
    done.validation.append({"step": done.step, **figures})
    tracker.write(done.step, figures)


def _learn(
    learner: nn.Module,
    batch: Batch,
    optimiser: torch.optim.Optimizer,
    settings: TrainSettings,
    step: int,
    place: Placement,
) -> float:
    """One optimiser step over this rank's share, cut into `accumulate` parts; the mean loss of the share."""
    optimiser.zero_grad(set_to_none=True)
    total = 0.0
    parts = _parts(batch, settings, step)
    for number, (part, generator) in enumerate(parts):
        last = number == len(parts) - 1
        wait = nullcontext() if last or place.ranks == 1 else learner.no_sync()  # type: ignore[operator]
        with wait:
            loss = learner(part, generator, step / settings.steps) / len(parts)
            loss.backward()
        total += float(loss.detach())
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, settings.optimiser.clip or float("inf"))
    if not torch.isfinite(norm):
        raise ShortvoxError(
            f"the gradient is not finite at step {step}; lower optimiser.lr "
            f"(now {settings.optimiser.lr:g}) and train again"
        )
    optimiser.step()
    return total


def _initial_model(settings: TrainSettings, data: SpeechData, init: SpeakerModel | None) -> SpeakerModel:
    names = speaker_names(data.corpus.speakers, settings.augment.speeds)
    if len(data.corpus.speakers) < 2:
        raise ConfigError(f"{data.corpus.name}: {len(data.corpus.speakers)} training speaker(s); at least two needed")
    if (problem := unfit_names(names)) is not None:
        raise CorpusError(f"{data.corpus.name}: {problem} in the head; rename that speaker, or change augment.speeds")
    torch.manual_seed(settings.seed)
    if init is None:
        if settings.transfer != TransferSettings():
            raise ConfigError("transfer: there is no model to start from; name one with --init, or start in a study")
        return SpeakerModel.fresh(settings.model, names)
    return transfer(
        init, settings.model, names, settings.transfer, utterance_centroids(data, most=settings.transfer.utterances)
    )


def _load_teachers(settings: TrainSettings) -> dict[str, SpeakerModel]:
    for name, teacher in settings.teachers.items():
        if teacher.model is None:
            raise ConfigError(f"teachers.{name}.model: no model folder is given")
    return {name: load_model(teacher.model) for name, teacher in settings.teachers.items() if teacher.model}


def _hear_utterances(
    settings: TrainSettings,
    data: SpeechData,
    teachers: Mapping[str, SpeakerModel],
    cache: Path,
    place: Placement,
    interrupt: Interruptible,
    on_step: OnStep | None,
) -> dict[str, Tensor]:
    """What the teachers that hear whole utterances say of them; raises KeyboardInterrupt when asked to stop."""

    def hear(name: str, said: TeacherSettings) -> Tensor:
        def told(done: int, count: int) -> None:
            if on_step is not None and place.leads:
                on_step(0, settings.steps, f"{name} hears the utterances, {done} of {count}")
            if interrupt.requested and done < count:
                raise KeyboardInterrupt  # what was heard is kept

        model = teachers[name].to(place.device)
        domains = domains_of(data.corpus, settings) if said.centred == "domain" else ()
        return utterance_targets(
            model, said, data, settings.augment.speeds, cache=cache, on_heard=told, domains=domains
        )

    return {name: hear(name, said) for name, said in settings.teachers.items() if said.hears == "utterance"}


def _status(done: Progress, loss: float) -> str:
    watched = f", validation EER {100 * done.validation[-1]['eer']:.1f} %" if done.validation else ""
    return f"loss {loss:.2f}{watched}"


def _finish(
    out: Path, model: SpeakerModel, settings: TrainSettings, data: SpeechData, done: Progress, here: Environment
) -> None:
    utterances = len(data.corpus)
    epochs = round(settings.steps * settings.items / utterances, 3)
    budget = {"steps": settings.steps, "epochs": epochs, "utterances": utterances, "crops_per_step": settings.items}
    write_json(out / "training.json", {**vars(done), "budget": budget, "environment": here})
    described = f"{data.corpus.name}, {len(data.corpus.speakers)} speakers, {len(data.corpus)} utterances"
    card = write_card(
        model,
        trained_on=described,
        steps=settings.steps,
        epochs=epochs,
        seconds=done.seconds_heard,
        ran_on=where_it_ran(done.earlier, here),
    )
    save_model(out, model, card=card)
