# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS whose other end is proven: one variable each, and a wrong certificate is refused in plain words."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import ipaddress
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import NOBODY
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import Server
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.case import new_case
from tests.migration import endpoint, prepare, run
from tests.servers import PostgresServer, Servers


@dataclasses.dataclass(frozen=True)
class Authority:
    """Who signs certificates, for these tests alone."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str) -> Authority:
        """Make one that signs itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return cls(key, _draft(subject, subject, key).sign(key, hashes.SHA256()))

    def write(self, path: Path) -> Path:
        """Write its certificate, for clients to trust."""
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def certify(self, host: str, folder: Path) -> None:
        """Write certificate and key of a server at an address or of a name, where it looks for them."""
        made = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        name = x509.DNSName(host) if host == "localhost" else x509.IPAddress(ipaddress.ip_address(host))
        names = x509.SubjectAlternativeName([name])
        draft = _draft(subject, self.certificate.subject, made).add_extension(names, critical=False)
        signed = draft.sign(self.key, hashes.SHA256())
        (folder / "server.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        (folder / "server.key").touch(mode=0o600)
        unprotected = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        (folder / "server.key").write_bytes(made.private_bytes(serialization.Encoding.PEM, form, unprotected))


def _draft(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=subject == issuer, path_length=None), critical=True)
    )


@dataclasses.dataclass(frozen=True)
class Encrypted:
    """A server that takes no connection without TLS, and the authority behind its certificate."""

    server: PostgresServer
    authority: Authority

    def admit(self, *connections: str) -> None:
        """Let these in from here, and nobody else: by what and into which databases, as pg_hba.conf has it."""
        lines = [f"{connection} all 127.0.0.1/32 scram-sha-256\n" for connection in connections]
        (self.server.server.folder / "data" / "pg_hba.conf").write_text("".join(lines))
        with self.server.connect() as connection:
            connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def encrypted(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Encrypted]:
    """Give a server of 15; that of the wheel is built without TLS."""
    model = servers.source("15")
    server = Server(tmp_path_factory.mktemp("encrypted"), model.bindir)
    server.create()
    authority = Authority.make("the right one")
    data = server.folder / "data"
    authority.certify("127.0.0.1", data)
    if os.geteuid() == 0:
        os.chown(data / "server.key", NOBODY, NOBODY)
    with (data / "postgresql.conf").open("a", encoding="ascii") as settings:
        settings.write("ssl = on\n")
    server.start()
    assert server.port
    started = dataclasses.replace(model, server=server, port=server.port, password=server.password)
    try:
        yield Encrypted(started, authority)
    finally:
        server.stop()


def test_verify_full(encrypted: Encrypted, servers: Servers, tmp_path: Path) -> None:
    """The client tools get in by the same two variables."""
    authority = str(encrypted.authority.write(tmp_path / "authority.pem"))
    target = servers.target("15")
    encrypted.server.create_database("proven")
    encrypted.admit("hostssl proven", "host postgres")
    migration = prepare(encrypted.server, "proven", target, "proven", tmp_path / "archive")
    migration.source = dataclasses.replace(migration.source, sslmode="verify-full", sslrootcert=authority)
    with connect(dataclasses.replace(migration.source, side="target")) as session:
        assert session.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
        session.execute("CREATE TABLE public.t(a int)")
    outcome = run(migration)
    assert outcome.status == "migrated", outcome
    target.drop_database("proven")


def test_tools_without_tls(encrypted: Encrypted, servers: Servers, tmp_path: Path) -> None:
    """Psycopg gets in, and those of the wheel would fail in the middle."""
    migration = prepare(encrypted.server, "postgres", servers.target("15"), "unmade", tmp_path / "archive")
    migration.source = dataclasses.replace(migration.source, sslmode="require")
    for bindir, found in ((servers.target().bindir, True), (encrypted.server.bindir, False)):
        migration.client_bindir = str(bindir)
        told = [finding for finding in migration.preflight().findings if finding.code == "client-tools"]
        assert bool(told) is found
        assert all("its psql cannot enter the source database" in finding.message for finding in told)


def test_tools_without_tls_reach_a_target(encrypted: Encrypted, servers: Servers, tmp_path: Path) -> None:
    """Only rows from the source need psql; all else goes through sessions of our own."""
    source = servers.source("15")
    encrypted.admit("host postgres", "hostssl all")
    with new_case(source, encrypted.server, "create table t(a int); insert into t values (1)") as case:
        migration = prepare(source, case.name, encrypted.server, case.name, tmp_path / "archive")
        migration.target = dataclasses.replace(migration.target, sslmode="require")
        migration.client_bindir = str(servers.target().bindir)
        outcome = run(migration)
        assert outcome.status == "migrated", outcome


@pytest.mark.parametrize("side", ["source", "target"])
def test_wrong_authority(encrypted: Encrypted, tmp_path: Path, side: t.Literal["source", "target"]) -> None:
    wrong = Authority.make("the wrong one").write(tmp_path / "wrong.pem")
    at = endpoint(side, encrypted.server, "postgres")
    with pytest.raises(MigrationError, match="certificate verify failed") as refused:
        connect(dataclasses.replace(at, sslmode="verify-full", sslrootcert=str(wrong)))
    assert f"{side}_sslmode and {side}_sslrootcert" in str(refused.value)


def test_server_without_tls(servers: Servers) -> None:
    """Whoever has such a server on this machine is told what to set."""
    plain = dataclasses.replace(endpoint("target", servers.target(), "postgres"), sslmode="require")
    with pytest.raises(MigrationError, match="set target_sslmode to prefer"):
        connect(plain)


def test_wrong_host_name(encrypted: Encrypted, tmp_path: Path) -> None:
    """The certificate is of an address, and the name is another one's."""
    authority = str(encrypted.authority.write(tmp_path / "authority.pem"))
    at = dataclasses.replace(endpoint("source", encrypted.server, "postgres"), host="localhost", sslrootcert=authority)
    with pytest.raises(MigrationError, match='does not match host name "localhost"'):
        connect(dataclasses.replace(at, sslmode="verify-full"))
    connect(dataclasses.replace(at, sslmode="verify-ca")).close()


def test_certificate_of_localhost(encrypted: Encrypted, tmp_path: Path) -> None:
    """As Railway makes them: the message tells what holds by such a one, and that does."""
    trusted = str(encrypted.authority.write(tmp_path / "authority.pem"))
    at = dataclasses.replace(endpoint("target", encrypted.server, "postgres"), sslrootcert=trusted)
    with _certificate(encrypted, "localhost"):
        with pytest.raises(MigrationError, match="made out to localhost, as Railway's is") as refused:
            connect(dataclasses.replace(at, sslmode="verify-full"))
        assert "Set target_sslmode to require, or to verify-ca; or open a tunnel" in str(refused.value)
        assert "Check target_host" not in str(refused.value)
        connect(dataclasses.replace(at, sslmode="require", sslrootcert="")).close()
        connect(dataclasses.replace(at, sslmode="verify-ca")).close()
        connect(dataclasses.replace(at, sslmode="verify-full", host="localhost")).close()


@contextlib.contextmanager
def _certificate(encrypted: Encrypted, host: str) -> t.Iterator[None]:
    """Let the server be another one by its certificate, as long as the block lasts."""
    data = encrypted.server.server.folder / "data"
    encrypted.authority.certify(host, data)
    encrypted.admit("host all")
    try:
        yield
    finally:
        encrypted.authority.certify("127.0.0.1", data)
        encrypted.admit("host all")


def test_missing_authority(encrypted: Encrypted, tmp_path: Path) -> None:
    at = endpoint("source", encrypted.server, "postgres")
    with pytest.raises(MigrationError, match=r'nowhere\.pem" does not exist'):
        connect(dataclasses.replace(at, sslmode="verify-full", sslrootcert=str(tmp_path / "nowhere.pem")))
