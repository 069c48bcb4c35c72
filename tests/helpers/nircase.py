"""NIR's equations by forward Euler, written once more: node by node, in numpy, on frames."""

from typing import Any

import numpy as np


def simulate(graph: Any, frames: np.ndarray, dt: float, reset: str = "zero") -> np.ndarray:
    """[T,...] of a graph's output for one recording [T,C,H,W] (or the Input's shape)."""
    order = list(graph.nodes)
    state: dict[str, Any] = {}
    out = []
    for frame in frames:
        values: dict[str, np.ndarray] = {}
        todo = order
        while todo:
            late = []
            for name in todo:
                sources = [a for a, b in graph.edges if b == name]
                if any(s not in values for s in sources):
                    late.append(name)
                    continue
                x = sum((values[s] for s in sources), np.zeros(())) if sources else frame
                values[name] = node(graph.nodes[name], x, state.setdefault(name, {}), dt, reset)
            assert len(late) < len(todo)
            todo = late
        out.append(values[next(n for n in order if type(graph.nodes[n]).__name__ == "Output")])
    return np.array(out)


def node(n: Any, x: np.ndarray, s: dict[str, Any], dt: float, reset: str) -> np.ndarray:
    kind = type(n).__name__
    if kind in ("Input", "Output"):
        return x
    if kind == "Flatten":
        return x.reshape(-1)
    if kind in ("Linear", "Affine"):
        return n.weight @ x.reshape(-1) + getattr(n, "bias", 0)
    if kind == "Delay":
        assert not np.any(n.delay)
        return x
    if kind == "Scale":
        return x * n.scale
    if kind == "Conv2d":
        return conv(n, x)
    if kind == "Conv1d":
        return conv1d(n, x)
    if kind in ("SumPool2d", "AvgPool2d"):
        return pool(n, x, kind == "AvgPool2d")
    if kind == "Threshold":
        return (x > n.threshold) * 1.0
    v = s.get("v", 0.0)
    if kind in ("CubaLI", "CubaLIF"):
        i = s.get("i", 0.0)
        s["i"] = x = i + dt / n.tau_syn * (-i + n.w_in * x)
    tau = n.tau_mem if kind.startswith("Cuba") else getattr(n, "tau", None)
    v = v + dt * n.r * x if tau is None else v + dt / tau * (n.v_leak - v + n.r * x)
    s["v"] = v
    if kind in ("I", "LI", "CubaLI"):
        return v
    z = v > n.v_threshold
    s["v"] = v - z * n.v_threshold if reset == "subtract" else np.where(z, n.v_reset, v)
    return z * 1.0


def conv(n: Any, x: np.ndarray) -> np.ndarray:
    o, each, *kernel = n.weight.shape
    (sy, sx), (dy, dx) = np.broadcast_to(n.stride, 2), np.broadcast_to(n.dilation, 2)
    kh, kw = dy * (kernel[0] - 1) + 1, dx * (kernel[1] - 1) + 1
    x = np.pad(x, ((0, 0), ends(n.padding, kh, 0), ends(n.padding, kw, 1)))
    h, w = (x.shape[1] - kh) // sy + 1, (x.shape[2] - kw) // sx + 1
    out = np.zeros((o, h, w))
    for c in range(o):
        g = c // (o // n.groups)
        part = x[g * each : (g + 1) * each]
        for y in range(h):
            for k in range(w):
                window = part[:, y * sy : y * sy + kh : dy, k * sx : k * sx + kw : dx]
                out[c, y, k] = (window * n.weight[c]).sum() + n.bias[c]
    return out


def ends(padding: Any, width: int, axis: int) -> tuple[int, int]:
    """Zeros before and behind, of a number, a pair, 'same' or 'valid'."""
    if isinstance(padding, str):
        total = (width - 1) * {"same": 1, "valid": 0}[padding]
        return total // 2, total - total // 2
    size = int(np.broadcast_to(padding, 2)[axis])
    return size, size


def conv1d(n: Any, x: np.ndarray) -> np.ndarray:
    step = int(np.ravel(n.dilation)[0])
    width = step * (n.weight.shape[2] - 1) + 1
    x = np.pad(x, ((0, 0), ends(n.padding, width, 0)))
    starts = range(0, x.shape[1] - width + 1, n.stride)
    each = [(n.weight * x[None, :, k : k + width : step]).sum((1, 2)) + n.bias for k in starts]
    return np.stack(each, 1)


def pool(n: Any, x: np.ndarray, mean: bool) -> np.ndarray:
    (ky, kx), (sy, sx) = n.kernel_size, n.stride
    x = np.pad(x, ((0, 0), *((int(p), int(p)) for p in n.padding)))
    h, w = (x.shape[1] - ky) // sy + 1, (x.shape[2] - kx) // sx + 1
    out = np.zeros((x.shape[0], h, w))
    for y in range(h):
        for k in range(w):
            out[:, y, k] = x[:, y * sy : y * sy + ky, k * sx : k * sx + kx].sum((1, 2))
    return out / (ky * kx) if mean else out
