"""All checks, in the order in which they are printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from batch_runner.api.folders import output_folder, place_of_files
from batch_runner.config.environment import known_variables
from batch_runner.config.resolve import resolve_settings
from batch_runner.config.user_config import read_user_config, user_config_path
from batch_runner.doctor.account import check_address, check_key
from batch_runner.doctor.checks import Check, Subject, ok, problem, warning
from batch_runner.doctor.cluster import check_cluster
from batch_runner.doctor.folders import check_object_store, check_output_folder, check_state_folder
from batch_runner.doctor.installation import check_installation
from batch_runner.doctor.network import check_proxy, check_service, check_tls, network_of
from batch_runner.doctor.schedulers import check_schedulers
from batch_runner.errors import ManifestError, UsageError
from batch_runner.manifest import Manifest, load
from batch_runner.providers import DEFAULT_PROVIDER, PROVIDERS, key_variable_hint
from batch_runner.settings import Network, Settings
from batch_runner.util.locale import items_text, tr
from batch_runner.util.paths import find_existing


def examine(subject: Subject) -> Iterator[Check]:
    """Yield what each check found. Writes nothing lasting, submits and uploads nothing."""
    yield from check_installation(subject)
    yield from check_state_folder(subject)
    yield from check_schedulers()
    yield from check_cluster(subject)
    provider = DEFAULT_PROVIDER
    manifest = None
    if subject.manifest is not None:
        try:
            path = find_existing(subject.manifest)
            PROVIDERS.add_manifest(path)
            manifest = load(path, providers=PROVIDERS, key_variable=key_variable_hint())
        except (UsageError, OSError) as error:
            yield _manifest_problem(error)
        if manifest is not None:
            provider = manifest.provider
            subject = replace(subject, base_urls=manifest.base_urls)
            yield from _check_job(manifest, subject)
    yield from check_address(provider, subject)
    yield from check_key(provider, subject)
    network = _network(manifest, subject)
    yield check_proxy(subject, network)
    yield check_tls(subject)
    if not subject.offline:
        yield from check_service(provider, subject, network)


def _network(manifest: Manifest | None, subject: Subject) -> Network:
    """Return the network settings of a run; those of the environment if others are invalid."""
    environment = subject.environment
    try:
        if manifest is not None:
            environment = known_variables(environment)
            return resolve_settings(manifest, flags={}, environment=environment)[0].network
        configured = read_user_config(user_config_path(environment)).settings.network
    except (UsageError, OSError):
        configured = Network() if manifest is None else manifest.settings.network
    return network_of(environment, configured)


def _check_job(manifest: Manifest, subject: Subject) -> Iterator[Check]:
    """Check a manifest that could be read, its settings and its output folder."""
    try:
        count = sum(1 for _ in manifest.items())
    except (UsageError, OSError) as error:
        yield _manifest_problem(error)
    else:
        yield ok("manifest", f"{manifest.job}: {items_text(count)}")
    settings = manifest.settings
    try:
        environment = known_variables(subject.environment)  # others are reported already
        settings, _ = resolve_settings(manifest, flags={}, environment=environment)
    except ManifestError:
        pass  # in the user config: reported already
    except UsageError as error:
        yield problem("settings", str(error))
    else:
        yield _check_limits(settings)
    try:
        folder = output_folder(manifest, subject.output)
    except UsageError as error:
        yield problem("output folder", str(error))
        return
    yield from check_output_folder(folder, free_bytes=settings.downloads.free_bytes)
    if address := place_of_files(manifest, folder):
        yield check_object_store(address)
    if manifest.on_finish.notify:
        yield _check_notify()


def _manifest_problem(error: Exception) -> Check:
    first, *more = str(error).splitlines()
    return problem("manifest", first, tr("`batch-runner plan` shows all of it") if more else "")


def _check_limits(settings: Settings) -> Check:
    limits = settings.limits
    caps = []
    if limits.max_submissions is not None:
        caps.append(tr("at most {count} submissions", count=limits.max_submissions))
    if limits.max_cost is not None:
        caps.append(tr("at most {cost}", cost=limits.max_cost))
    seen = tr(
        "{rate}, {in_flight} in flight, {cap}",
        rate=limits.rate,
        in_flight=limits.in_flight,
        cap=tr(", ").join(caps) or tr("no spending cap (limits.max_submissions, limits.max_cost)"),
    )
    return ok("settings", seen)


def _check_notify() -> Check:
    try:
        import apprise  # noqa: F401
    except ImportError:
        advice = "pip install 'batch-runner[notify]'"
        return warning("notifications", tr("apprise is not installed"), advice)
    return ok("notifications", tr("apprise is installed"))
