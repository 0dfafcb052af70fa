#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write tests/golden: for every NAME.cfg there NAME.weights and NAME.f32.

  scripts/mkgolden.py [--check] [NAME ...]

An implementation of its own of darknet's layers, in 64-bit floats and plain loops, that shares
nothing with the library: darknet.md 2 in Python.  The weights come from a small generator; NAME.f32
holds the output of every layer in order, planar, as little-endian 32-bit floats, for the input
x[c][y][x] = ((7c + 3y + 5x) mod 256) / 255.  --check writes nothing and fails where a file on disk
differs by more than rounding.
"""
import glob
import math
import os
import struct
import sys

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'golden')


def f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]


class Random:
    """Numbers in [0, 1) of a linear congruential generator (Knuth's MMIX constants)."""

    def __init__(self):
        self.state = 1

    def next(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 40) / 2**24

    def uniform(self, n, lo, hi):
        return [f32(lo + (hi - lo) * self.next()) for _ in range(n)]


class Section(dict):
    def num(self, key, default):
        return int(self.get(key, default))

    def ints(self, key):
        return [int(v) for v in self[key].split(',')]


def parse(path):
    sections = []
    for line in open(path):
        line = line.split('#')[0].replace(' ', '').strip()
        if line.startswith('['):
            sections.append(Section(kind=line[1:-1]))
        elif line:
            key, value = line.split('=', 1)
            sections[-1][key] = value
    return sections


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softplus(x):
    return x if x > 20 else math.exp(x) if x < -20 else math.log1p(math.exp(x))


def stair(x):
    n = math.floor(x)
    return math.floor(x / 2) if n % 2 == 0 else x - n + math.floor(x / 2)


ACT = {
    'linear': lambda x: x,
    'logistic': sigmoid,
    'loggy': lambda x: 2 * sigmoid(x) - 1,
    'relu': lambda x: max(x, 0),
    'relu6': lambda x: min(max(x, 0), 6),
    'relie': lambda x: x if x > 0 else .01 * x,
    'ramp': lambda x: max(x, 0) + .1 * x,
    'leaky': lambda x: x if x > 0 else .1 * x,
    'elu': lambda x: x if x >= 0 else math.exp(x) - 1,
    'selu': lambda x: 1.0507 * (x if x >= 0 else 1.6732 * (math.exp(x) - 1)),
    'gelu': lambda x: .5 * x * (1 + math.tanh(.797885 * x + .035677 * x**3)),
    'tanh': math.tanh,
    'plse': lambda x: .01 * (x + 4) if x < -4 else .01 * (x - 4) + 1 if x > 4 else .125 * x + .5,
    'stair': stair,
    'hardtan': lambda x: max(-1, min(1, x)),
    'lhtan': lambda x: .001 * x if x < 0 else .001 * (x - 1) + 1 if x > 1 else x,
    'swish': lambda x: x * sigmoid(x),
    'mish': lambda x: x * math.tanh(softplus(x)),
    'hard_mish': lambda x: x if x > 0 else x * x / 2 + x if x > -2 else 0,
    'h_swish': lambda x: x * min(max(x + 3, 0), 6) / 6,
}


def activate(t, name):
    """t [c][h][w]"""
    if name.startswith('normalize_channels'):
        out = [[row[:] for row in plane] for plane in t]
        for y in range(len(t[0])):
            for x in range(len(t[0][0])):
                v = [plane[y][x] for plane in t]
                if name == 'normalize_channels':
                    v, extra = [max(a, 0) for a in v], 1e-4
                else:
                    v, extra = [math.exp(a - max(v)) for a in v], 0
                for k, a in enumerate(v):
                    out[k][y][x] = a / (sum(v) + extra)
        return out
    return [[[ACT[name](v) for v in row] for row in plane] for plane in t]


def size(t):
    return len(t), len(t[0]), len(t[0][0])


def fill(c, h, w, f):
    return [[[f(k, y, x) for x in range(w)] for y in range(h)] for k in range(c)]


def convolve(t, weight, geom):
    """weight [k][c/groups][r][r]; geom n, r, sy, sx, pad, dil, groups"""
    n, r, sy, sx, pad, dil, groups = geom
    c, h, w = size(t)
    cg = c // groups

    def one(k, y, x):
        total = 0.0
        for ch in range(cg):
            plane = t[k // (n // groups) * cg + ch]
            for ky in range(r):
                yy = y * sy - pad * dil + ky * dil
                if not 0 <= yy < h:
                    continue
                for kx in range(r):
                    xx = x * sx - pad * dil + kx * dil
                    if 0 <= xx < w:
                        total += plane[yy][xx] * weight[((k * cg + ch) * r + ky) * r + kx]
        return total

    return fill(n, (h + 2 * pad - r) // sy + 1, (w + 2 * pad - r) // sx + 1, one)


def blur(t, kind, stride):
    c, h, w = size(t)
    kernel = [1, 2, 1, 2, 4, 2, 1, 2, 1] if kind == 1 else [1, 1, 1, 1]
    kernel = [v / sum(kernel) for v in kernel]
    r, pad = (3, 1) if kind == 1 else (2, 0)
    return convolve(t, kernel * c, (c, r, stride, stride, pad, 1, c))


def window(t, s, pick):
    """Pooling geometry of darknet.md 2.2; pick gets the valid cells."""
    c, h, w = size(t)
    stride = s.num('stride', 1)
    sy, sx = s.num('stride_y', stride), s.num('stride_x', stride)
    r = s.num('size', stride)
    padding = s.num('padding', r - 1)
    off = -(padding // 2)

    def one(k, y, x):
        return pick([t[k][yy][xx] for yy in range(y * sy + off, y * sy + off + r)
                     for xx in range(x * sx + off, x * sx + off + r)
                     if 0 <= yy < h and 0 <= xx < w])

    return fill(c, (h + padding - r) // sy + 1, (w + padding - r) // sx + 1, one)


def flat(t):
    return [v for plane in t for row in plane for v in row]


def shaped(v, c, h, w):
    return fill(c, h, w, lambda k, y, x: v[(k * h + y) * w + x])


class Net:
    def __init__(self, sections):
        net = sections[0]
        self.out, self.stored, self.random = [], [], Random()
        self.input = fill(net.num('channels', 3), net.num('height', 0), net.num('width', 0),
                          lambda c, y, x: f32(((7 * c + 3 * y + 5 * x) % 256) / 255))
        for s in sections[1:]:
            prev = self.out[-1] if self.out else self.input
            self.out.append(getattr(self, s['kind'].lower())(s, prev))

    def source(self, index):
        return self.out[index if index >= 0 else len(self.out) + index]

    def draw(self, n, lo, hi):
        v = self.random.uniform(n, lo, hi)
        self.stored += v
        return v

    def norm(self, t, bias, stats):
        scale, mean, var = stats
        return [[[scale[k] * (v - mean[k]) / math.sqrt(var[k] + 1e-5) + bias[k] for v in row]
                 for row in plane] for k, plane in enumerate(t)]

    def stats(self, n):
        return self.draw(n, .5, 1.5), self.draw(n, -.5, .5), self.draw(n, .5, 1.5)

    def convolutional(self, s, t):
        n, r, stride = s.num('filters', 1), s.num('size', 1), s.num('stride', 1)
        sy, sx = s.num('stride_y', stride), s.num('stride_x', stride)
        groups = s.num('groups', 1)
        pad = r // 2 if s.num('pad', 0) else s.num('padding', 0)
        dil = s.num('dilation', 1) if r > 1 else 1
        kind = s.num('antialiasing', 0)
        bias = self.draw(n, -.3, .3)
        stats = self.stats(n) if s.num('batch_normalize', 0) else None
        fan = size(t)[0] // groups * r * r
        limit = 2 * math.sqrt(3 / fan)
        weight = self.draw(n * fan, -limit, limit)
        z = convolve(t, weight, (n, r, 1 if kind else sy, 1 if kind else sx, pad, dil, groups))
        z = self.norm(z, bias, stats or ([1] * n, [0] * n, [1 - 1e-5] * n))
        z = activate(z, s.get('activation', 'logistic'))
        return blur(z, kind, stride) if kind else z

    def connected(self, s, t):
        n, x = s.num('output', 1), flat(t)
        bias = self.draw(n, -.3, .3)
        limit = 2 * math.sqrt(3 / len(x))
        weight = self.draw(n * len(x), -limit, limit)
        stats = self.stats(n) if s.num('batch_normalize', 0) else None
        z = [sum(a * b for a, b in zip(x, weight[k * len(x):])) for k in range(n)]
        z = self.norm(shaped(z, n, 1, 1), bias, stats or ([1] * n, [0] * n, [1 - 1e-5] * n))
        return activate(z, s.get('activation', 'logistic'))

    def batchnorm(self, s, t):
        n = size(t)[0]
        return self.norm(t, self.draw(n, -.3, .3), self.stats(n))

    def maxpool(self, s, t):
        if s.num('maxpool_depth', 0):
            c, h, w = size(t)
            n = s.num('out_channels', 1)
            return fill(n, h, w, lambda k, y, x: max(t[j][y][x] for j in range(k, c, n)))
        kind = s.num('antialiasing', 0)
        if not kind:
            return window(t, s, max)
        return blur(window(t, Section(s, stride='1', size=s['size']), max), kind,
                    s.num('stride', 1))

    def local_avgpool(self, s, t):
        return window(t, s, lambda v: sum(v) / len(v))

    def avgpool(self, s, t):
        return [[[sum(flat([plane])) / len(flat([plane]))]] for plane in t]

    def route(self, s, t):
        out, groups = [], s.num('groups', 1)
        for i in s.ints('layers'):
            n = size(self.source(i))[0] // groups
            out += self.source(i)[s.num('group_id', 0) * n:][:n]
        return out

    def shortcut(self, s, t):
        c, h, w = size(t)
        src = [t] + [self.source(i) for i in s.ints('from')]
        kind = s.get('weights_type', 'none')
        weights = [[1] * c for _ in src]
        if kind != 'none':
            each = c if kind == 'per_channel' else 1
            v = self.draw(len(src) * each, -.5, 1.5)
            for k in range(c):
                mine = [v[i * each + k % each] for i in range(len(src))]
                top = max(mine)
                if s['weights_normalization'] == 'softmax':
                    mine = [math.exp(a - top) for a in mine]
                else:
                    mine = [max(a, 0) for a in mine]
                for i, a in enumerate(mine):
                    weights[i][k] = a / (sum(mine) + 1e-4)
        total = fill(c, h, w, lambda k, y, x: sum(
            weights[i][k] * p[k][y][x] for i, p in enumerate(src) if k < len(p)))
        return activate(total, s.get('activation', 'linear'))

    def upsample(self, s, t):
        c, h, w = size(t)
        n, scale = s.num('stride', 2), float(s.get('scale', 1))
        return fill(c, h * n, w * n, lambda k, y, x: scale * t[k][y // n][x // n])

    def scale_channels(self, s, t):
        p = self.source(s.num('from', -1))
        wide = s.num('scale_wh', 0)
        return activate(fill(*size(p), lambda k, y, x: p[k][y][x] * (
            t[0][y][x] if wide else t[k][0][0])), s.get('activation', 'linear'))

    def sam(self, s, t):
        p = self.source(s.num('from', -1))
        return activate(fill(*size(p), lambda k, y, x: p[k][y][x] * t[k][y][x]),
                        s.get('activation', 'linear'))

    def reorg3d(self, s, t):
        c, h, w = size(t)
        n = s.num('stride', 1)
        return fill(c * n * n, h // n, w // n, lambda k, y, x: (
            t[k % c][y * n + k // c // n][x * n + k // c % n]))

    def reorg(self, s, t):
        c, h, w = size(t)
        n, v = s.num('stride', 1), flat(t)
        part, out = c // (n * n), [0.0] * len(v)
        for k in range(c):
            for y in range(h):
                for x in range(w):
                    x2 = x * n + k // part % n
                    y2 = y * n + k // part // n
                    out[x + w * (y + h * k)] = v[x2 + w * n * (y2 + h * n * (k % part))]
        return shaped(out, c * n * n, h // n, w // n)

    def softmax(self, s, t):
        v, groups = flat(t), s.num('groups', 1)
        heat, n, out = float(s.get('temperature', 1)), len(flat(t)) // s.num('groups', 1), []
        for g in range(groups):
            part = [a / heat for a in v[g * n:(g + 1) * n]]
            part = [math.exp(a - max(part)) for a in part]
            out += [a / sum(part) for a in part]
        return shaped(out, *size(t))

    def activation(self, s, t):
        return activate(t, s.get('activation', 'linear'))

    def logistic(self, s, t):
        return activate(t, 'logistic')

    def dropout(self, s, t):
        return t

    def yolo(self, s, t):
        return t


def same(path, data):
    """Whether the floats on disk are these within a rounding."""
    old = open(path, 'rb').read() if os.path.exists(path) else b''
    if len(old) != len(data):
        return False
    pairs = zip(struct.unpack('<%df' % (len(old) // 4), old),
                struct.unpack('<%df' % (len(data) // 4), data))
    return all(abs(a - b) <= 2e-7 * max(1, abs(b)) for a, b in pairs)


def main():
    check = '--check' in sys.argv[1:]
    names = [a for a in sys.argv[1:] if a != '--check'] or sorted(
        os.path.basename(p)[:-4] for p in glob.glob(os.path.join(FOLDER, '*.cfg')))
    bad = 0
    for name in names:
        base = os.path.join(FOLDER, name)
        net = Net(parse(base + '.cfg'))
        values = [v for t in net.out for v in flat(t)]
        files = {'.weights': struct.pack('<iiiQ%df' % len(net.stored), 0, 2, 5, 0, *net.stored),
                 '.f32': struct.pack('<%df' % len(values), *values)}
        for suffix, data in files.items():
            if not check:
                open(base + suffix, 'wb').write(data)
            elif not same(base + suffix, data):
                print('mkgolden.py: %s%s is not what it writes' % (name, suffix), file=sys.stderr)
                bad = 1
    return bad


if __name__ == '__main__':
    sys.exit(main())
