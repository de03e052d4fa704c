"""Checks of proxy and TLS settings, and of the service itself by requests that cost nothing."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping

import anyio
from pydantic import SecretStr, ValidationError

from batch_runner.config.environment import NETWORK, limit_variable
from batch_runner.doctor.checks import Check, Subject, ok, problem, warning
from batch_runner.errors import ApiError, Failure, UsageError
from batch_runner.providers import PROVIDERS
from batch_runner.providers.credentials import (
    base_urls_of,
    check_base_url,
    choose_proxies,
    read_service,
)
from batch_runner.providers.probe import probe_address, probe_key
from batch_runner.settings import Network, Service, Settings
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path
from batch_runner.util.proxies import PROXY_VARIABLES
from batch_runner.util.text import duration, printable

_TLS_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
#: Difference of the clocks, in seconds, from which it is said.
CLOCK_SECONDS = 60.0


def check_proxy(subject: Subject, network: Network) -> Check:
    """Check which proxy is used. Its address may hold a password, which is not shown."""
    if network.proxy is not None:
        return ok("proxy", tr("{proxy} (network.proxy)", proxy=network.proxy))
    names = (*PROXY_VARIABLES, *map(str.lower, PROXY_VARIABLES))
    given = ", ".join(name for name in names if subject.environment.get(name))
    if not given:
        return ok("proxy", tr("none in the environment"))
    if network.trust_env:
        return ok("proxy", tr("{names} used", names=given))
    seen = tr("{names} ignored", names=given)
    advice = tr("to use the proxy, set {variable}=1", variable=limit_variable("trust_env"))
    return warning("proxy", seen, advice)


def check_tls(subject: Subject) -> Check:
    """Check where the certificates come from by which the service is recognised."""
    for name in _TLS_VARIABLES:
        if (path := subject.environment.get(name)) and not Utf8Path(path).exists():
            seen = f"{name}={printable(path)}"
            return problem("TLS", seen, tr("it does not exist: unset it, or name another"))
    found = ssl.get_default_verify_paths()
    given = [name for name in _TLS_VARIABLES if subject.environment.get(name)]
    seen = f"{ssl.OPENSSL_VERSION}; " + (
        ", ".join(f"{name}={printable(subject.environment[name])}" for name in given)
        or tr("certificates from {path}", path=found.cafile or found.capath or tr("nowhere"))
    )
    if not (found.cafile or (found.capath and any(Utf8Path(found.capath).iterdir()))):
        return problem("TLS", seen, tr("install ca-certificates, or set SSL_CERT_FILE"))
    return ok("TLS", seen)


def check_service(provider: str, subject: Subject, network: Network) -> Iterator[Check]:
    """Check whether the service can be reached, its clock, and whether it accepts the key.

    Nothing is submitted or uploaded.
    """
    info = PROVIDERS[provider]
    try:
        proxies = choose_proxies(network, subject.environment)
    except UsageError as error:
        yield problem("connection", printable(str(error)), tr("correct the address of the proxy"))
        return
    for url in base_urls_of(info, subject.environment, subject.base_urls):
        try:
            check_base_url(url, info.base_url_variable)
        except UsageError:
            continue  # said by the check of the address
        keyless = Service(provider=provider, base_url=url, key=SecretStr(""), proxies=proxies)
        yield from _check_connection(keyless, subject, network)


def _check_connection(keyless: Service, subject: Subject, network: Network) -> Iterator[Check]:
    started = time.monotonic()
    try:
        date = anyio.run(probe_address, keyless, Settings())
    except ApiError as error:
        advice = tr("check address, network, proxy and certificates")
        yield problem("connection", printable(str(error)), advice)
        return
    yield ok("connection", tr("answered after {time}", time=duration(time.monotonic() - started)))
    if date is not None:
        yield _check_clock(date)
    try:
        service = read_service(keyless.provider, subject.environment, network)
        only = {"base_url": keyless.base_url, "base_urls": ()}
        yield _check_acceptance(service.model_copy(update=only))
    except UsageError:
        return  # said by the check of the key


def network_of(environment: Mapping[str, str], configured: Network | None = None) -> Network:
    """Return the network settings of the environment, else those that are `configured`."""
    base = configured or Network()
    given = {name: environment.get(limit_variable(name)) for name in NETWORK}
    values = {name: getattr(base, name) for name in NETWORK}
    try:
        return Network.model_validate(values | {name: text for name, text in given.items() if text})
    except ValidationError:
        return base


def _check_clock(date: float) -> Check:
    ahead = time.time() - date
    seen = tr("{time} from the service's clock", time=duration(abs(ahead)))
    if abs(ahead) < CLOCK_SECONDS:
        return ok("clock", seen)
    direction = tr("ahead of it") if ahead > 0 else tr("behind it")
    return warning("clock", f"{seen}, {direction}", tr("set this machine's clock, with NTP"))


def _check_acceptance(service: Service) -> Check:
    name = "key accepted"
    try:
        error = anyio.run(probe_key, service, Settings())
    except UsageError as wrong:
        return problem("service", str(wrong), tr("check address and port"))
    if error is None and not service.key.get_secret_value():
        return ok("service", tr("it is the right one, and asks for no key"))
    if error is None:
        return ok(name, tr("yes, by a status request"))
    seen = printable(str(error))
    if error.failure is Failure.FORBIDDEN:
        return problem(name, seen, tr("the service rejects the key, or the account is empty"))
    if error.failure in (Failure.NOT_FOUND, Failure.REJECTED):
        if error.code is None:
            advice = tr("perhaps another web server answers: check address and port")
            return warning(name, seen, advice)
        return ok(name, tr("not rejected, by a status request for no task ({answer})", answer=seen))
    if error.failure is Failure.REDIRECTED:
        advice = tr("the address leads elsewhere; a run does not follow it with the key")
        return problem(name, seen, advice)
    if error.failure is Failure.NO_RESPONSE:
        return problem(name, seen, tr("this does not look like the service: check the address"))
    return warning(name, seen, tr("the service is there, but in difficulties: try again later"))
