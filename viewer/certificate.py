"""The certificate with which this machine speaks HTTPS on a local network: its own, made on first use.

No authority signs names like 192.168.1.5, so the browser of a phone or a headset asks once whether to go on. After that
the connection is encrypted, and the page may use what browsers keep for secure pages, WebXR above all.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diorama.capture.errors import InputError

if TYPE_CHECKING:
    from cryptography import x509

LOOPBACK = ("127.0.0.1", "::1")
VALID_DAYS = 365
"""Apple's systems refuse certificates that hold longer than 825 days, others more than 398."""
RENEW_DAYS = 30
SOMEWHERE = (("10.254.254.254", socket.AF_INET), ("fd00::1", socket.AF_INET6))
"""Nothing is sent there: asking for the way there tells which of our addresses the network sees."""


@dataclass(frozen=True)
class Certificate:
    """PEM files: the certificate and its private key, which only this user may read."""

    certificate: Path
    key: Path


def config_folder() -> Path:
    """Where Diorama keeps what belongs to this user on this machine; made with mode 700."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    folder = base / "diorama"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be made ({error.strerror}): set XDG_CONFIG_HOME to a folder that may be written."
        ) from error
    return folder


def read_private(path: Path) -> bytes:
    """The bytes of a file, which only this user may read from now on. Raises OSError."""
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return path.read_bytes()


def write_private(path: Path, data: bytes) -> None:
    """Writes beside and renames; nobody else can read it at any moment."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def lan_addresses() -> list[str]:
    """This machine's addresses that others on its networks may know, the one of the usual way out first."""
    found = [address for target in SOMEWHERE if (address := _own_address_towards(*target))]
    with contextlib.suppress(OSError):
        found += [str(info[4][0]).split("%")[0] for info in socket.getaddrinfo(socket.gethostname(), None)]
    with contextlib.suppress(OSError, ValueError):
        found += _interface_addresses()
    usable = [a for a in found if not _is_of_no_use(a)]
    return list(dict.fromkeys(usable))


def host_names() -> list[str]:
    """Names under which others may know this machine, `.local` (mDNS) included."""
    name = socket.gethostname().lower().split(".")[0]
    is_plain = name and name != "localhost" and all(c.isascii() and (c.isalnum() or c == "-") for c in name)
    return [name, f"{name}.local"] if is_plain else []


def lan_certificate(folder: Path, addresses: list[str], names: list[str]) -> Certificate:
    """The certificate in `folder`, made anew when it is missing, unreadable, about to expire or for other addresses.

    Raises InputError when the folder cannot be written.
    """
    result = Certificate(folder / "certificate.pem", folder / "key.pem")
    if _still_good(result, addresses, names):
        return result
    try:
        certificate, key = make_certificate(addresses, names)
        # The key first: a certificate without its key would be taken for good by nobody, `_still_good` compares them.
        write_private(result.key, key)
        write_private(result.certificate, certificate)
    except OSError as error:
        raise InputError(
            f"{folder} could not be written ({error.strerror or error}), so there is no certificate for --lan: free "
            "some space, or set XDG_CONFIG_HOME to a folder that may be written."
        ) from error
    return result


def make_certificate(
    addresses: list[str], names: list[str], *, now: datetime.datetime | None = None
) -> tuple[bytes, bytes]:
    """A self-signed certificate for these addresses and names and the loopback's, and its key, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    begin = now or datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Diorama on this machine")])
    hosts: list[x509.GeneralName] = [x509.DNSName(n) for n in ("localhost", *names)]
    hosts += [x509.IPAddress(ipaddress.ip_address(a)) for a in (*LOOPBACK, *addresses)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - datetime.timedelta(days=1))  # clocks of phones differ
        .not_valid_after(begin + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem), private


def _still_good(made: Certificate, addresses: list[str], names: list[str]) -> bool:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        known = x509.load_pem_x509_certificate(made.certificate.read_bytes())
        key = serialization.load_pem_private_key(read_private(made.key), password=None)
        covered = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    left = known.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return (
        known.public_key() == key.public_key()
        and left > datetime.timedelta(days=RENEW_DAYS)
        and _hosts(covered) == {*LOOPBACK, "localhost", *addresses, *names}
    )


def _hosts(covered: x509.SubjectAlternativeName) -> set[str]:
    from cryptography import x509

    addresses = covered.get_values_for_type(x509.IPAddress)
    return {*covered.get_values_for_type(x509.DNSName), *(str(a) for a in addresses)}


def _own_address_towards(target: str, family: socket.AddressFamily) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _interface_addresses() -> list[str]:
    """IPv4 addresses of all interfaces, as the kernel lists them (Linux)."""
    import fcntl
    import struct

    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                answer = fcntl.ioctl(asker.fileno(), 0x8915, struct.pack("256s", name.encode()[:15]))  # SIOCGIFADDR
                found.append(socket.inet_ntoa(answer[20:24]))
    return found


def _is_of_no_use(address: str) -> bool:
    try:
        value = ipaddress.ip_address(address)
    except ValueError:
        return True
    return value.is_loopback or value.is_unspecified or (value.version == 6 and value.is_link_local)
