# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program inside a container that connects its own stdin and stdout to the server inside.

PostgreSQL is often process 1 of its container. Orphans then become its children, and one that dies of a signal is taken
for a crashed backend: the server ends all sessions and recovers (postmaster.c, "untracked child process ... was
terminated by signal"). So a relay leaves no orphan: it is one process, or it waits for its children; and it ends by
itself, with status 0, as soon as either side is gone, even when the other side does not read.
"""

from __future__ import annotations

import dataclasses
import typing as t

# $1 is the directory of the socket or the address, $2 the port.
_PERL: t.Final = r"""
use strict; use IO::Socket::UNIX; use IO::Socket::INET;
my ($where, $port) = @ARGV;
my $server = $where =~ m{^/} ? IO::Socket::UNIX->new(Peer => "$where/.s.PGSQL.$port")
                             : IO::Socket::INET->new(PeerAddr => $where, PeerPort => $port);
$server or die "$where: $!\n";
$SIG{PIPE} = 'IGNORE';
$_->blocking(0) for \*STDOUT, $server;
my ($up, $down) = ('', '');
sub bits { my $bits = ''; vec($bits, fileno $_, 1) = 1 for @_; $bits }
for (;;) {
  my $read = bits(length $up ? () : \*STDIN, length $down ? () : $server);
  my $write = bits(length $up ? $server : (), length $down ? \*STDOUT : ());
  select($read, $write, undef, undef) > 0 or next;
  if (vec $read, fileno STDIN, 1) { sysread(STDIN, $up, 1 << 18) or exit 0 }
  if (vec $read, fileno $server, 1) {
    my $count = sysread $server, $down, 1 << 18;
    exit 0 if defined $count ? !$count : !$!{EAGAIN};
  }
  for ([$server, \$up], [\*STDOUT, \$down]) {
    my ($to, $from) = @$_;
    next unless vec $write, fileno $to, 1;
    my $count = syswrite $to, $$from;
    exit 0 unless defined $count || $!{EAGAIN};
    substr($$from, 0, $count // 0) = '';
  }
}
"""
_PYTHON: t.Final = r"""
import os, socket, sys, threading
where, port = sys.argv[1], int(sys.argv[2])
if where.startswith("/"):
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{where}/.s.PGSQL.{port}")
else:
    server = socket.create_connection((where, port))
def pump(source, sink):
    try:
        while data := os.read(source, 1 << 18):
            while data:
                data = data[os.write(sink, data):]
    finally:
        os._exit(0)
threading.Thread(target=pump, args=(0, server.fileno()), daemon=True).start()
pump(server.fileno(), 1)
"""
# wait -n would do, but for a child that has ended before it is called.
_BASH: t.Final = r"""
exec 4<&0 3<>"/dev/tcp/$1/$2" || exit 1
exec 2>/dev/null
cat <&3 &
down=$!
{
  up= gone=
  trap 'gone=1; kill $up' TERM
  cat <&4 >&3 &
  up=$!
  test "$gone" && kill $up
  wait $up
  wait $up
  kill $down
  exit 0
} &
other=$!
wait $down
kill $other
wait
exit 0
"""
# nc and socat go on after the end of their input, some for ever, and none notices it while it writes to nobody: the one
# that runs is ended then, by way of the shell's TERM, for no shell waits for one side of a pipeline alone.
_ENDED: t.Final = r"""
exec 3<&0
right=
trap 'kill -TERM "$right" 2>/dev/null' TERM
{ sh -c 'echo $$; exec cat <&3'; kill -TERM $$; } 2>/dev/null | {
  read -r up
  exec 4<&0
  program=
  trap 'kill "$program"' TERM
  "$@" <&4 &
  program=$!
  wait "$program"
  wait "$program" 2>/dev/null
  trap "" TERM
  kill "$up" 2>/dev/null
  exit 0
} &
right=$!
wait
wait
exit 0
"""


@dataclasses.dataclass(frozen=True)
class Relay:
    """A command line that relays, inside; ``where`` is a directory of sockets or an address."""

    program: str
    where: str
    argv: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.program}, {self.where}"


def by_socket(programs: frozenset[str], directory: str, port: int) -> list[Relay]:
    """Return the relays that a container's programs allow to a Unix-domain socket, the fastest first."""
    path = f"{directory}/.s.PGSQL.{port}"
    # Where busybox is so configured, as Alpine's is.
    return _relays(programs, directory, port, f"UNIX-CONNECT:{path}", [f"local:{path}"])


def by_tcp(programs: frozenset[str], address: str, port: int) -> list[Relay]:
    """Return the relays that a container's programs allow to a TCP port, the fastest first."""
    relays = _relays(programs, address, port, f"TCP:{address}:{port}", [address, str(port)])
    if {"bash", "cat"} <= programs:
        relays.insert(0, Relay("bash", address, ("bash", "-c", _BASH, "pgconvoy", address, str(port))))
    return relays


def _relays(programs: frozenset[str], where: str, port: int, socat: str, netcat: list[str]) -> list[Relay]:
    relays = [
        Relay(program, where, (program, option, script, where, str(port)))
        for program, option, script in (("perl", "-e", _PERL), ("python3", "-c", _PYTHON))
        if program in programs
    ]
    if "cat" in programs:
        others = (
            ("socat", ["socat", "-b", "262144", "STDIO", socat]),
            ("nc", ["nc", *netcat]),
            ("busybox nc", ["busybox", "nc", *netcat]),
        )
        relays += [
            Relay(program, where, ("sh", "-c", _ENDED, "pgconvoy", *argv))
            for program, argv in others
            if program in programs
        ]
    return relays
