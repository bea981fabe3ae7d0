"""Pictures and videos in this process: `render` for one picture, `Renderer` for all else. `nightreel preview` too.

Importing it is quick: torch comes with the first Renderer.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from flows.job.films import Films
from flows.job.named_files import reading_named, shown
from flows.job.picture_digests import check_masks
from flows.job.preset_files import PresetFiles
from flows.job.sounds import Sounds
from infra.models.bringing import bring_model
from infra.settings import load_settings
from infra.storage.storage import ObjectMissing, SourceReader, Storage
from infra.workers.source_frames import SourceFrames
from manifests.checking import check_row
from manifests.masking import address_without_secrets
from manifests.results import GoodRow
from manifests.schema import Address, ManifestRow, addresses_of
from renderers.errors import BadInput
from renderers.frame_plan.part import part_plans, smaller
from renderers.frame_plan.picture_shapes import shaped
from renderers.frame_plan.resolution import resolve
from renderers.frame_plan.video_plan import VideoPlan
from renderers.pictures.masks import read_mask
from renderers.pictures.reading import read_rgb
from renderers.registry import Registry

if TYPE_CHECKING:
    from PIL import Image

    from renderers.frame_plan.frame_plan import FramePlan
    from renderers.frame_plan.source import SourcePictures
    from renderers.frame_rendering.renderer import StepProgress
    from renderers.frame_rendering.video import VideoFrame, VideoProgress
    from renderers.hardware import Precision

__all__ = ["PreparedPart", "PreparedRow", "Renderer", "checked_row", "prepare", "prepare_part", "render"]


@dataclass(frozen=True)
class PreparedRow:
    """A row that can be rendered: its `plan`, and the bytes of every picture that it names, by URI. The frames of its
    film, if it has one, lie in a `folder` that goes with it."""

    plan: VideoPlan
    images: Mapping[str, bytes]
    folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def source(self) -> Callable[[FramePlan], SourcePictures | None]:
        """Return what gives the pictures of the film that a frame is drawn over."""
        if self.folder is None:
            return lambda _: None
        return partial(SourceFrames(Storage(self.folder.name)).of, self.plan.video_id)


def checked_row(columns: Mapping[str, Any]) -> ManifestRow:
    """Make a row of `columns`, dotted names (`cutouts.number`) not among them.

    Raises:
        BadInput: some are unknown or hold what is not allowed; the message says of each what is.
    """
    problems = []
    for result in check_row(columns, file="", number=1):
        if isinstance(result, GoodRow):
            return result.row
        problems.append(result.message + (f" (allowed: {result.allowed})" if result.allowed else ""))
    raise BadInput("; ".join(problems))


def prepare(row: ManifestRow, *, only: int | None = None) -> PreparedRow:
    """Plan `row` and read the pictures that it names, and its film, of that `only` the first so many frames where it is
    as long as its film; no model is loaded for it.

    Raises:
        UnknownModel: the row's model is not in the registry.
        BadInput: the row asks for what its model can't do, or names a picture, a sound or a preset that does not exist.
        StorageError: a picture can't be read.
    """
    settings = load_settings()
    registry = Registry(settings.models_folder)
    sources, images = SourceReader(settings.reading()), {}
    row = PresetFiles(sources).filled(row)
    bring_model(registry, settings.models_source, row.model, weights=False)
    entry = registry.entry(row.model)
    for named in (it for it in addresses_of(row) if it.is_picture):
        try:
            images[named.address] = sources.read(named.address)
        except ObjectMissing as error:
            what = f"{named.place} '{address_without_secrets(named.address)}' of video '{row.video_id}'"
            raise BadInput(f"{what} does not exist: correct its path") from error
    if row.size_from != "row" and row.init_image is not None:
        with reading_named(Address("init_image", row.init_image), row.video_id):
            row = shaped(row, entry, read_rgb(images[row.init_image], shown(row.init_image)).size)
    row, digests = Sounds(sources).heard(resolve(row, entry)) if row.audio is not None else (row, {})
    folder = None
    if row.source.video is not None:
        folder = tempfile.TemporaryDirectory(prefix="nightreel-film-")
        row, film = Films(sources, Storage(folder.name)).found(resolve(row, entry), only=only)
        digests |= film
    digests |= {uri: hashlib.sha256(data).hexdigest() for uri, data in images.items()}
    plan = VideoPlan.of(row, digests, entry=entry)
    check_masks(plan.row, entry.downsampling, lambda uri: read_mask(images[uri], shown(uri)))
    return PreparedRow(plan, images, folder)


@dataclass(frozen=True)
class PreparedPart:
    """A part of a video that can be tried out: its `plan`, smaller and of fewer steps than the row's, the plans of its
    `frames`, the bytes of every picture that it names, by URI, and the `whole` video."""

    plan: VideoPlan
    frames: tuple[FramePlan, ...]
    images: Mapping[str, bytes]
    whole: PreparedRow

    @property
    def steps(self) -> int:
        """Of all its frames together."""
        return sum(frame.steps for frame in self.frames)


def prepare_part(prepared: PreparedRow, frames: range, *, scale: float = 1.0, steps: float = 1.0) -> PreparedPart:
    """Plan `frames` of a video at the share `scale` of its width and height and the share `steps` of its steps, as a
    chain that begins with the first of them.

    Raises:
        BadInput: the video has not all of these frames, or its model draws nothing so small.
    """
    whole = prepared.plan
    row = smaller(whole.row, whole.entry.downsampling, scale=scale, steps=steps)
    plan = VideoPlan.of(row, whole.images, entry=whole.entry)
    return PreparedPart(plan, part_plans(plan, frames, row.width / whole.row.width), prepared.images, prepared)


class Renderer:
    """A model that is loaded once, and renders rows in this process, one at a time.

    Example:
        >>> renderer = nightreel.Renderer()
        >>> row = nightreel.ManifestRow(video_id="reef", prompt="a coral reef", frames=24, zoom="1.02")
        >>> for frame in renderer.frames(row):
        ...     frame.image.save(f"reef-{frame.index:03}.png")

    The frames are those that `nightreel render` makes of the same row on the same kind of device, to the last bit.
    """

    def __init__(
        self,
        model: str = "embedded",
        *,
        device: str | None = None,
        threads: int | None = None,
        precision: Precision | None = None,
    ) -> None:
        """Load `model`. What is not given is as this machine's settings (NIGHTREEL_DEVICE and so on) say: `device`
        auto, cpu, cuda or cuda:0; `threads` of PyTorch, which have a part in the last bits; `precision` auto, float32
        or bfloat16.

        Raises:
            UnknownModel: it is not in the registry.
            FetchFailed, ModelFilesBroken: its files are not here, or damaged.
            BadInput: the device can't be used here.
        """
        from renderers.frame_rendering.renderer import FrameRenderer  # imports torch, which takes seconds
        from renderers.models import load_models

        settings = load_settings()
        registry = Registry(settings.models_folder)
        bring_model(registry, settings.models_source, model)
        models = load_models(
            registry.entry(model),
            device=device or settings.device,
            threads=threads or settings.threads,
            precision=precision or settings.precision,
            graphs=False,  # recording takes longer than a few frames save
        )
        self.model = model
        self._renderer = FrameRenderer(models)

    def frames(
        self,
        row: ManifestRow | PreparedRow,
        *,
        on_step: Callable[[VideoProgress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[VideoFrame]:
        """Render the frames of `row`, in their order, each when it is asked for.

        With keyframes (`handoff="keyframes"`) those around a frame are rendered before it. A row that does not say
        which model it wants takes this one. `on_step` hears of each step (of every tenth on a GPU); once `should_stop`
        returns True, the frame in progress is dropped.

        Raises:
            BadInput: see `prepare`; or the row names another model.
            NonFiniteLoss: the loss became non-finite: another seed or a smaller learning rate may help.
            OutOfMemory: a frame does not fit into the device's memory.
            Stopped: `should_stop` asked for it.
        """
        from renderers.frame_rendering.video import render_video

        prepared = row if isinstance(row, PreparedRow) else prepare(self._with_model(row))
        if prepared.plan.entry.name != self.model:
            raise BadInput(
                f"video '{prepared.plan.video_id}' names the model '{prepared.plan.entry.name}', and this renderer has "
                f"loaded '{self.model}': make a Renderer('{prepared.plan.entry.name}')"
            )
        return render_video(
            self._renderer,
            prepared.plan,
            prepared.images,
            on_step=on_step,
            should_stop=should_stop,
            source=prepared.source(),
        )

    def part(
        self, part: PreparedPart, *, on_step: Callable[[FramePlan, StepProgress], None] | None = None
    ) -> Iterator[VideoFrame]:
        """Render the frames of a part, each when it is asked for; see `frames` for errors."""
        from renderers.frame_rendering.part import render_part

        source = part.whole.source()
        return render_part(self._renderer, part.plan, part.frames, part.images, on_step=on_step, source=source)

    def picture(self, row: ManifestRow, *, on_step: Callable[[VideoProgress], None] | None = None) -> Image.Image:
        """Render the first frame of `row`; see `frames` for `on_step` and errors."""
        return next(self.frames(row, on_step=on_step)).image

    def _with_model(self, row: ManifestRow) -> ManifestRow:
        return row if "model" in row.model_fields_set else row.model_copy(update={"model": self.model})


def render(prompt: str, *, on_step: Callable[[VideoProgress], None] | None = None, **columns: Any) -> Image.Image:
    """Render one picture of `prompt`; `columns` are those of a manifest's row.

    Example:
        >>> nightreel.render("a red apple", seed=2)
        >>> nightreel.render("a red apple | white:-0.5", width=128, height=96, cutouts={"number": 16})

    The model of the last call stays loaded. Of several `frames` it is the first.

    Raises:
        BadInput: a column is unknown or holds what is not allowed; the message says what is.
        UnknownModel, FetchFailed, ModelFilesBroken: the model can't be had.
    """
    row = checked_row({"video_id": "picture", "prompt": prompt, **columns})
    prepared = prepare(row)  # before the model is loaded: a mistake is reported at once
    renderer = _last_renderer(prepared.plan.entry.name, prepared.plan.entry.digest)
    return next(renderer.frames(prepared, on_step=on_step)).image


@lru_cache(maxsize=1)
def _last_renderer(model: str, digest: str) -> Renderer:
    """The digest tells a model from another of its name that was in the registry before."""
    return Renderer(model)
