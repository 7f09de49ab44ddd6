"""What a view wants changed, and how it is done: one pass over the batch, its order kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.batch import graph_of_node, make_batch, node_features
from halpgraph.views._rows import find, where_true


@dataclass(frozen=True)
class Edit:
    """A change of a batch; everything that is None stays as it is.

    Attributes:
        keep_nodes: nodes that stay, bool [N]; at least one of every graph.
        keep_edges: edges that stay, bool [E]; both directions alike.
        new_edges: absent edges to be added, in both directions and each once, int64 [2, A].
        blank: nodes whose features are taken away, bool [N].
        noise: nodes [n] and the feature rows [n, num_codes + F] they get; makes features dense.
    """

    keep_nodes: Tensor | None = None
    keep_edges: Tensor | None = None
    new_edges: Tensor | None = None
    blank: Tensor | None = None
    noise: tuple[Tensor, Tensor] | None = None


def merge(edits: Sequence[Edit]) -> Edit:
    """Return one edit that does what several edits of different graphs do."""
    noise = [e.noise for e in edits if e.noise is not None]
    new = [e.new_edges for e in edits if e.new_edges is not None]
    return Edit(
        keep_nodes=_all([e.keep_nodes for e in edits]),
        keep_edges=_all([e.keep_edges for e in edits]),
        new_edges=torch.cat(new, dim=1) if new else None,
        blank=_any([e.blank for e in edits]),
        noise=(torch.cat([n for n, _ in noise]), torch.cat([r for _, r in noise]))
        if noise
        else None,
    )


def _all(masks: Sequence[Tensor | None]) -> Tensor | None:
    given = [m for m in masks if m is not None]
    return torch.stack(given).all(0) if len(given) > 1 else given[0] if given else None


def _any(masks: Sequence[Tensor | None]) -> Tensor | None:
    given = [m for m in masks if m is not None]
    return torch.stack(given).any(0) if len(given) > 1 else given[0] if given else None


def apply(batch: Batch, edit: Edit) -> Batch:
    """Return the changed batch; tensors that nothing happens to are shared with the old one."""
    x, codes, num_codes = _features(batch, edit)
    number = None if edit.keep_nodes is None else _before(edit.keep_nodes)  # of nodes that stay
    edge_index, rowptr = _edges(batch, edit, number)
    ptr, graph = batch.ptr, batch.batch
    if edit.keep_nodes is not None and number is not None:
        nodes = where_true(edit.keep_nodes)
        x, codes = x.index_select(0, nodes), codes.index_select(0, nodes)
        rowptr = torch.cat([rowptr.index_select(0, nodes), rowptr[-1:]])
        ptr = number.index_select(0, ptr)
        graph = graph_of_node(ptr, nodes.numel())
    return make_batch(
        x=x,
        codes=codes,
        num_codes=num_codes,
        edge_index=edge_index,
        rowptr=rowptr,
        ptr=ptr,
        batch=graph,
        **{k: batch[k] for k in ("y", "id") if k in batch},
    )


def _before(mask: Tensor) -> Tensor:
    """Return how many true entries come before each position. Shapes: [n] -> [n + 1]."""
    count = torch.zeros(mask.numel() + 1, dtype=torch.long, device=mask.device)
    torch.cumsum(mask, 0, out=count[1:])
    return count


def _features(batch: Batch, edit: Edit) -> tuple[Tensor, Tensor, int]:
    x, codes, num_codes = batch.x, batch.codes, batch.num_codes
    if edit.noise is not None:
        x, codes, num_codes = node_features(batch), codes[:, :0], 0
        x = x.index_copy(0, *edit.noise)
    if edit.blank is not None:
        blank = where_true(edit.blank)
        x = x.index_fill(0, blank, 0.0) if x.size(1) else x
        codes = codes.index_fill(0, blank, num_codes) if codes.size(1) else codes
    return x, codes, num_codes


def _edges(batch: Batch, edit: Edit, number: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return edges, their nodes renumbered, and the row pointers of all nodes, in the old order."""
    edge_index, rowptr = batch.edge_index, batch.rowptr
    keep = _edges_that_stay(batch, edit)
    if edit.new_edges is not None and edit.new_edges.size(1):
        edge_index, rowptr = _insert(batch, keep, edit.new_edges)
        edge_index = edge_index if number is None else _pick(edge_index, None, number)
    elif keep is not None:
        edge_index = _pick(edge_index, where_true(keep), number)
        rowptr = _before(keep).index_select(0, rowptr)
    return edge_index, rowptr


def _pick(edge_index: Tensor, stays: Tensor | None, number: Tensor | None) -> Tensor:
    """Return some of the edges, renumbered, with one new tensor for both rows."""
    out = edge_index.new_empty(2, edge_index.size(1) if stays is None else stays.numel())
    for old, new in zip(edge_index, out, strict=True):
        kept = old if stays is None else old.index_select(0, stays)
        new.copy_(kept) if number is None else torch.index_select(number, 0, kept, out=new)
    return out


def _edges_that_stay(batch: Batch, edit: Edit) -> Tensor | None:
    if edit.keep_nodes is None:
        return edit.keep_edges
    source, target = batch.edge_index
    keep = edit.keep_nodes.index_select(0, source) & edit.keep_nodes.index_select(0, target)
    return keep if edit.keep_edges is None else keep & edit.keep_edges


def _insert(batch: Batch, keep: Tensor | None, new: Tensor) -> tuple[Tensor, Tensor]:
    """Merge new edges into the sorted ones: only the new ones are sorted."""
    source, target = batch.edge_index
    new = new[:, (new[0] * batch.rowptr.numel() + new[1]).argsort()]
    place, _ = find(batch, new[0], new[1])  # among the old edges
    before = _before(keep if keep is not None else torch.ones_like(source, dtype=torch.bool))
    place = before.index_select(0, place) + torch.arange(new.size(1), device=new.device)
    old = torch.ones(int(before[-1]) + new.size(1), dtype=torch.bool, device=new.device)
    old[place] = False
    slots = where_true(old)
    merged = new.new_empty(2, old.numel())
    for row, values in enumerate((source, target)):
        stays = values if keep is None else values.index_select(0, where_true(keep))
        merged[row].index_copy_(0, slots, stays)
        merged[row].index_copy_(0, place, new[row])
    added = torch.bincount(new[0], minlength=batch.rowptr.numel() - 1)
    rowptr = before.index_select(0, batch.rowptr)
    rowptr[1:] += added.cumsum(0)
    return merged, rowptr
