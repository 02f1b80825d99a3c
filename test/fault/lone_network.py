"""Run processes in a network of their own, and write down what they send and which files they leave.

Started by `unshare` as root: python lone_network.py PLAN.json. What is sent to any address of the world arrives at this
script: every address is local here, and a resolver answers every question.
"""

import json
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

#: Where the resolver sends everybody. Source: RFC 5737, TEST-NET-1.
ELSEWHERE = '192.0.2.1'
#: Numbers that Python's socket module does not name. Source: linux/if_packet.h, asm-generic/socket.h.
SOL_PACKET, PACKET_STATISTICS, PACKET_OUTGOING, SO_RCVBUFFORCE, ETH_P_ALL = 263, 6, 4, 33, 3
#: What is written by `strace`: system calls that make files or open them for writing.
CALLS = 'open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat'


def make_network(folder):
    """Make the loopback the whole world, and a resolver's address the only thing that name look-ups know."""
    for command in (
        'ip link set lo up',
        'ip link set lo multicast on',
        'ip route add 224.0.0.0/4 dev lo',
        'ip route add local default dev lo src 127.0.0.1',
        'mount -t tmpfs -o mode=1777 lone /dev/shm',
    ):
        subprocess.run(command.split(), check=True)
    # Where IPv6 is switched off, nothing can be sent by it.
    subprocess.run('ip -6 route add local default dev lo'.split(), check=False, stderr=subprocess.DEVNULL)
    for path, text in (
        ('/etc/resolv.conf', 'nameserver 127.0.0.1\n'),
        ('/etc/hosts', '127.0.0.1 localhost %s\n' % socket.gethostname()),
        # No daemon is asked for names: it would ask in the machine's own network.
        ('/etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
    ):
        replacement = os.path.join(folder, os.path.basename(path))
        with open(replacement, 'w') as file:
            file.write(text)
        if os.path.exists(path):
            subprocess.run(['mount', '--bind', replacement, os.path.realpath(path)], check=True)


def resolve(questions):
    """Answer questions for names, for good.

    :param questions: set that gets each name.
    """
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(('127.0.0.1', 53))
    while True:
        message, asker = server.recvfrom(4096)
        labels, place = [], 12
        while message[place]:
            labels.append(message[place + 1 : place + 1 + message[place]].decode('ascii', 'replace'))
            place += 1 + message[place]
        questions.add('.'.join(labels))
        asked = message[12 : place + 5]
        has_address = asked[-4:-2] == b'\0\1'  # an IPv4 address was asked for
        answer = b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4' + socket.inet_aton(ELSEWHERE) if has_address else b''
        server.sendto(message[:2] + struct.pack('!5H', 0x8180, 1, has_address, 0, 0) + asked + answer, asker)


def describe(packet):
    """Say where a packet goes.

    :param packet: bytes from the IP header on.
    :returns: 'DDS', 'loopback' for what else does not leave this machine, or who sends what to whom.
    """
    if packet[0] >> 4 == 6:
        kind, body = packet[6], packet[40:]
        ends = [socket.inet_ntop(socket.AF_INET6, packet[start : start + 16]) for start in (8, 24)]
        is_near, is_group = ends == ['::1', '::1'], ends[1].startswith('ff')
    else:
        kind, body = packet[9], packet[4 * (packet[0] & 15) :]
        ends = [socket.inet_ntoa(packet[start : start + 4]) for start in (12, 16)]
        is_near, is_group = all(end.startswith('127.') for end in ends), 224 <= packet[16] < 240
    ports = struct.unpack('!2H', body[:4]) if kind in (socket.IPPROTO_TCP, socket.IPPROTO_UDP) else (0, 0)
    if kind == socket.IPPROTO_UDP and body[8:12] == b'RTPS' and (is_near or is_group):
        return 'DDS'
    # A resolver on the loopback asks the world.
    if is_near and 53 not in ports:
        return 'loopback'
    return 'protocol %d from %s to %s, port %d' % (kind, ends[0], ends[1], ports[1])


def listen(counts):
    """Count packets by what `describe` says of them, for good.

    :param counts: dict that is counted in; `lost` is what this machine was too slow for.
    """
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    sniffer.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    sniffer.bind(('lo', 0))
    counts['sniffer'] = sniffer
    while True:
        packet, sender = sniffer.recvfrom(256)
        if sender[2] == PACKET_OUTGOING:
            said = describe(packet)
            counts[said] = counts.get(said, 0) + 1


def files_below(*folders):
    """List all files below some folders."""
    return sorted(
        os.path.join(path, name) for folder in folders for path, _, names in os.walk(folder) for name in names
    )


def start(process, plan):
    """Start a process of the plan; strace, where it is wanted, writes a file for it."""
    traced = []
    if plan['strace']:
        # -D: signals go to the process itself.
        traced = [
            'strace',
            '-D',
            '-f',
            '--seccomp-bpf',
            '-qq',
            '-e',
            'trace=' + CALLS,
            '-e',
            'signal=none',
            '-o',
            os.path.join(plan['folder'], process['name'] + '.strace'),
        ]
    with open(os.path.join(plan['folder'], process['name'] + '.log'), 'wb') as log:
        return subprocess.Popen(
            traced + process['command'],
            env=plan['environment'],
            cwd=plan['folder'],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def run(plan):
    """Run all processes: each is interrupted some seconds after its log held what it says once it works.

    Those that say nothing are there for the others, and interrupted last.

    :returns: names of those that ended before, and all exit codes, None for those that had to be killed.
    """
    children = {process['name']: start(process, plan) for process in plan['processes']}
    says = {process['name']: process['says'] for process in plan['processes'] if process['says']}
    works_since, interrupted, early = {}, set(), []
    while interrupted != set(says) and not early:
        time.sleep(0.1)
        for name in set(says) - interrupted:
            with open(os.path.join(plan['folder'], name + '.log'), errors='replace') as log:
                if name not in works_since and says[name] in log.read():
                    works_since[name] = time.monotonic()
            if time.monotonic() > works_since.get(name, math.inf) + plan['seconds']:
                children[name].send_signal(signal.SIGINT)
                interrupted.add(name)
        # Each of them stays until it is interrupted.
        early = [name for name in set(children) - interrupted if children[name].poll() is not None]
    for name in set(children) - interrupted - set(early):
        children[name].send_signal(signal.SIGINT)
    deadline = time.monotonic() + 20
    codes = []
    for child in children.values():
        try:
            codes.append(child.wait(max(deadline - time.monotonic(), 0.1)))
        except subprocess.TimeoutExpired:
            child.kill()
            codes.append(None)
    return early, codes


def main(path):
    """Carry out a plan.

    :param path: JSON: folder, seconds, strace, environment, processes (name, command, says), homes
        (folders whose files are listed). The answer goes to `found.json` in the folder.
    """
    with open(path) as file:
        plan = json.load(file)
    make_network(plan['folder'])
    questions, counts = set(), {}
    for work, argument in ((resolve, questions), (listen, counts)):
        threading.Thread(target=work, args=(argument,), daemon=True).start()
    while 'sniffer' not in counts:
        time.sleep(0.01)
    began = time.monotonic()
    early, codes = run(plan)
    _, lost = struct.unpack('2I', counts.pop('sniffer').getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    found = {
        'questions': sorted(questions),
        'packets': dict(counts),
        'lost': lost,
        'early': early,
        'codes': codes,
        'files': files_below(*plan['homes']),
        'seconds': time.monotonic() - began,
    }
    with open(os.path.join(plan['folder'], 'found.json'), 'w') as file:
        json.dump(found, file)


if __name__ == '__main__':
    main(sys.argv[1])
