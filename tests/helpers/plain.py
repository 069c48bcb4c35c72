"""The network in plain Python integers: slow, obvious, written from the design's text alone.

Nothing here comes from golden/ but the descriptions (nodes and rules). Streams are dictionaries
{(t, c, y, x): int}, absent = 0.
"""

from fractions import Fraction
from math import floor


def plain_decay(x, decay):
    """x * (1 - 2**-k1 [- 2**-k2]), or x * num / 2**shift, rounded half up."""
    if decay.ratio is not None:
        return floor(x * Fraction(decay.ratio[0], 2 ** decay.ratio[1]) + Fraction(1, 2))
    factor = 1 - Fraction(1, 2**decay.k1) - (Fraction(1, 2**decay.k2) if decay.k2 else 0)
    return floor(x * factor + Fraction(1, 2))


def plain_neuron(drives, rule, c):
    """One neuron of channel c. drives: x[t], list of ints. Returns spikes (delayed), v, history.

    history: per step a dict of x, drive, current, u, reset, margin, v.
    """
    v, i, frozen = int(rule.v_init[c]), 0, False
    threshold, reset_by = int(rule.threshold[c]), int(rule.reset_by[c])
    spikes, history = [], []
    for t, x in enumerate(drives):
        bias = int(rule.bias[t][c]) if rule.bias.ndim == 2 else int(rule.bias[c])
        drive = x * 2**rule.fraction_bits + bias
        if rule.synapse is None:
            i = drive
        elif rule.synapse == "ramp":
            i = i + drive
        else:
            i = plain_decay(i, rule.synapse) + drive
        if frozen:
            spikes.append(0)
            continue
        u = (plain_decay(v, rule.leak) if rule.leak else v) + i
        fired = u >= threshold
        spikes.append(int(fired))
        if rule.reset == "subtract" and fired:
            v = u - reset_by
        elif rule.reset == "zero" and fired:
            v = 0
        else:
            v = u
            frozen = fired and rule.reset == "once"
        if rule.floor is not None:
            v = max(v, int(rule.floor[c]))
        history.append(
            {
                "x": x,
                "drive": drive,
                "current": i,
                "u": u,
                "v": v,
                "reset": u - reset_by,
                "margin": u - threshold,
            }
        )
    if rule.delay:
        spikes = [0, *spikes][: len(spikes)]
    return spikes, v, history


def bit_reverse(t):
    return sum(((t >> k) & 1) << (7 - k) for k in range(8))


def plain_hash(index, seed):
    h = (index * 0x9E3779B1 + seed * 0x85EBCA6B) % 2**32
    h = (h ^ (h >> 16)) * 0x7FEB352D % 2**32
    h = (h ^ (h >> 15)) * 0x846CA68B % 2**32
    return (h ^ (h >> 16)) % 256


def plain_input(node, image, steps):
    """{(t, c, y, x): value}; pixels of a direct input at every t."""
    channels, height, width = node.shape
    out = {}
    for t in range(steps):
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    if node.coding == "frames":
                        value = int(image[t][c][y][x])
                    else:
                        pixel = int(image[c][y][x])
                        if node.coding == "direct":
                            value = pixel
                        elif node.coding == "rate":
                            index = (y * width + x) * channels + c
                            level = bit_reverse(t % 256) ^ plain_hash(index, node.seed)
                            value = int(pixel > level)
                        else:
                            value = int(pixel > 0 and t == ((255 - pixel) * steps) >> 8)
                    out[t, c, y, x] = value
    return out


def plain_weighted(node, source, shape, in_shape, steps):
    out = {}
    channels, height, width = in_shape
    for t in range(steps):
        for o in range(shape[0]):
            for oy in range(shape[1]):
                for ox in range(shape[2]):
                    total = 0
                    if node.op == "linear":
                        for c in range(channels):
                            for y in range(height):
                                for x in range(width):
                                    w = int(node.weight[o][(c * height + y) * width + x])
                                    total += w * source[t, c, y, x]
                    else:
                        per_group = node.weight.shape[1]
                        first = o // (shape[0] // node.groups) * per_group
                        for c in range(per_group):
                            for ky in range(node.weight.shape[2]):
                                for kx in range(node.weight.shape[3]):
                                    dy, dx = ky * node.dilation[0], kx * node.dilation[1]
                                    y = oy * node.stride[0] + dy - node.padding[0]
                                    x = ox * node.stride[1] + dx - node.padding[2]
                                    w = int(node.weight[o][c][ky][kx])
                                    total += w * source.get((t, first + c, y, x), 0)
                    out[t, o, oy, ox] = total
    return out


def plain_pool(node, source, shape, steps):
    """Of spikes or of weighted sums; what lies in the padding is not there."""
    out = {}
    for c in range(shape[0]):
        for y in range(shape[1]):
            for x in range(shape[2]):
                seen = False
                top = y * node.stride[0] - node.padding[0]
                left = x * node.stride[1] - node.padding[2]
                for t in range(steps):
                    window = [
                        source[at]
                        for ky in range(node.kernel[0])
                        for kx in range(node.kernel[1])
                        if (at := (t, c, top + ky, left + kx)) in source
                    ]
                    if node.mode == "sum":
                        value = sum(window)
                    elif node.mode == "max":
                        value = max(window)
                    elif node.mode == "or":
                        value = int(any(window))
                    else:
                        value = int(any(window) and not seen)
                        seen = seen or any(window)
                    out[t, c, y, x] = value
    return out


def plain_merge(node, sources, shapes):
    sources = [{at: s << k for at, s in source.items()} for source, k in zip(sources, node.shifts)]
    if node.mode == "concat":
        out, start = {}, 0
        for source, shape in zip(sources, shapes):
            out |= {(t, start + c, y, x): s for (t, c, y, x), s in source.items()}
            start += shape[0]
        return out
    join = {
        "add": sum,
        "or": lambda v: int(any(v)),
        "and": lambda v: int(all(v)),
        "andnot": lambda v: int(v[0] and not v[1]),
    }[node.mode]
    return {key: join([s[key] for s in sources]) for key in sources[0]}


def plain_sums(network, name):
    """Whether a node makes weighted sums."""
    node = network[name]
    return node.op in ("conv2d", "linear") or (
        node.op == "pool" and plain_sums(network, node.inputs[0])
    )


def plain_run(network, image):
    """(logits, class, {node: {(t,c,y,x): spike}}, {neuron: [history of every neuron]})."""
    steps, streams, histories, logits = network.steps, {}, {}, []
    for name in network.order:
        node, shape = network[name], network.shape[name]
        sources = [streams[i] for i in node.inputs]
        if node.op == "input":
            streams[name] = plain_input(node, image, steps)
        elif node.op in ("conv2d", "linear"):
            in_shape = network.shape[node.input]
            streams[name] = plain_weighted(node, sources[0], shape, in_shape, steps)
        elif node.op == "pool":
            streams[name] = plain_pool(node, sources[0], shape, steps)
        elif node.op == "merge":
            streams[name] = plain_merge(node, sources, [network.shape[i] for i in node.inputs])
        else:
            out, histories[name] = {}, []
            for c in range(shape[0]):
                for y in range(shape[1]):
                    for x in range(shape[2]):
                        drives = []
                        for t in range(steps):
                            total, weighted, direct = 0, 0, 0
                            for i, source in zip(node.inputs, sources):
                                if plain_sums(network, i):
                                    total += source[t, c, y, x] * 2 ** node.rule.shifts[weighted]
                                    weighted += 1
                                else:
                                    total += int(node.rule.coef[direct][c]) * source[t, c, y, x]
                                    direct += 1
                            drives.append(total)
                        spikes, v, history = plain_neuron(drives, node.rule, c)
                        out |= {(t, c, y, x): s for t, s in enumerate(spikes)}
                        histories[name].append(history)
                        if node.op == "readout":
                            logits.append(plain_logit(node.mode, spikes, v, history, steps))
            streams[name] = out
    return logits, logits.index(max(logits)), streams, histories


def plain_logit(mode, spikes, v, history, steps):
    if mode == "membrane":
        return v
    if mode == "count":
        return sum(spikes)
    if 1 in spikes:
        first = spikes.index(1)
        return (steps - first) * 2**24 + history[first]["v"] + 2**23
    return v + 2**23
