#!/usr/bin/env python3
"""Times what PyTorch needs for CLIP prompt learning on a CPU, run as the authors run it.

The text tower of CLIP ViT-B (12 layers, 512 wide) over prompts padded to 77 tokens, one
gradient step to the 16 context vectors; the same with one gradient per example; and the image
towers of ViT-B/32 and B/16. Weights are random: times do not depend on them. Prints CPU
seconds, the least of a few runs, for comparison with the benchmarks of mathx/clip:

    python3 testbed/reference/torch_step.py step 10        # one step, 10 classes
    python3 testbed/reference/torch_step.py examples 10 32 # 32 per-example gradients
    python3 testbed/reference/torch_step.py vision 16      # image features, patches of 16

Uses one thread, as the benchmarks do. Needs torch alone.
"""

import resource
import sys

import torch
from torch import nn

WIDTH, LAYERS, HEADS, POSITIONS, CONTEXT, DIM = 512, 12, 8, 77, 16, 512


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """A pre-norm transformer layer as CLIP's code has it."""

    def __init__(self, width, heads, mask):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), QuickGELU(), nn.Linear(4 * width, width))
        self.mask = mask

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False, attn_mask=self.mask)[0]
        return x + self.mlp(self.norm2(x))


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        mask = torch.full((POSITIONS, POSITIONS), float("-inf")).triu(1)
        self.positions = nn.Parameter(0.01 * torch.randn(POSITIONS, WIDTH))
        self.layers = nn.Sequential(*[Block(WIDTH, HEADS, mask) for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.projection = nn.Parameter(torch.randn(WIDTH, DIM) / WIDTH ** 0.5)

    def forward(self, prompts, eot):
        x = self.layers((prompts + self.positions).permute(1, 0, 2)).permute(1, 0, 2)
        x = self.norm(x)[torch.arange(x.shape[0]), eot] @ self.projection
        return x / x.norm(dim=-1, keepdim=True)


class Vision(nn.Module):
    def __init__(self, patch, width=768, heads=12):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch, bias=False)
        self.cls = nn.Parameter(torch.randn(width))
        self.positions = nn.Parameter(0.01 * torch.randn((224 // patch) ** 2 + 1, width))
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.layers = nn.Sequential(*[Block(width, heads, None) for _ in range(LAYERS)])
        self.projection = nn.Parameter(torch.randn(width, DIM) / width ** 0.5)

    def forward(self, images):
        x = self.patches(images).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.cls.expand(len(x), 1, -1), x], dim=1) + self.positions
        x = self.layers(self.before(x).permute(1, 0, 2)).permute(1, 0, 2)
        return self.after(x[:, 0]) @ self.projection


def frozen(model):
    for p in model.parameters():
        p.requires_grad_(False)
    return model.eval()


def cpu_seconds(runs, work):
    def now():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    times = []
    for _ in range(runs):
        start = now()
        work()
        times.append(now() - start)
    return min(times)


def prompts_of(classes, ctx):
    """Embeddings [SOS, context, name of 3 to 5 tokens, EOT, padding] and where EOT is."""
    rest = 0.02 * torch.randn(classes, POSITIONS, WIDTH)
    rest[:, 1:1 + CONTEXT] = 0
    eot = torch.tensor([CONTEXT + 4 + i % 3 for i in range(classes)])

    def prompts():
        return torch.cat([rest[:, :1], ctx.expand(classes, -1, -1), rest[:, 1 + CONTEXT:]], dim=1)

    return prompts, eot


def step(classes, examples, separate):
    text = frozen(Text())
    ctx = (0.02 * torch.randn(CONTEXT, WIDTH)).requires_grad_()
    prompts, eot = prompts_of(classes, ctx)
    images = nn.functional.normalize(torch.randn(examples, DIM), dim=-1)
    labels = torch.arange(examples) % classes

    def work():
        logits = 100 * images @ text(prompts(), eot).t()
        losses = nn.functional.cross_entropy(logits, labels, reduction="none")
        if not separate:
            return torch.autograd.grad(losses.mean(), ctx)
        return [torch.autograd.grad(loss, ctx, retain_graph=True) for loss in losses]

    return cpu_seconds(1 if separate or classes > 50 else 3, work)


def vision(patch, images=4):
    tower = frozen(Vision(patch))
    pixels = torch.randn(images, 3, 224, 224)
    with torch.no_grad():
        return images / cpu_seconds(3, lambda: tower(pixels))


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(1)
    what, numbers = sys.argv[1], [int(a) for a in sys.argv[2:]]
    if what == "step":
        print(f"torch {torch.__version__}: step, {numbers[0]} classes: {step(numbers[0], 32, False):.3f} CPU s")
    elif what == "examples":
        print(f"torch {torch.__version__}: {numbers[1]} per-example gradients, {numbers[0]} classes: {step(numbers[0], numbers[1], True):.3f} CPU s")
    elif what == "vision":
        print(f"torch {torch.__version__}: ViT-B/{numbers[0]}: {vision(numbers[0]):.2f} images/CPU s")
    else:
        sys.exit(__doc__)
