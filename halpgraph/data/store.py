"""A whole data set as flat tensors and pointers; batches are slices or gathers of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import torch
from torch import LongTensor, Tensor
from torch_geometric.data import Batch, Data

from halpgraph.batch import make_batch, node_features, slice_batch
from halpgraph.data.features import NodeFeatures, Schema
from halpgraph.data.tables import Tables
from halpgraph.errors import UserError


@dataclass(frozen=True, eq=False)
class GraphStore:
    """A data set in the layout of ``batch.py``; letters are those given there.

    ``id`` is the position of each graph in its data set, kept through ``subset``; ``schema`` says
    how features were made, to make the same ones of other graphs.

    Shapes: x [N, F], codes [N, K], edge_index [2, E], rowptr [N + 1], ptr [n + 1], id [n],
    y [n] or [n, tasks] or None.
    """

    x: Tensor
    codes: Tensor
    num_codes: int
    edge_index: Tensor
    rowptr: Tensor
    ptr: Tensor
    id: Tensor
    y: Tensor | None = None
    schema: Schema | None = None

    @cached_property
    def _whole(self) -> Batch:
        targets = {} if self.y is None else {"y": self.y}
        return make_batch(
            x=self.x,
            codes=self.codes,
            num_codes=self.num_codes,
            edge_index=self.edge_index,
            rowptr=self.rowptr,
            ptr=self.ptr,
            id=self.id,
            **targets,
        )

    @cached_property
    def _places(self) -> tuple[Tensor, Tensor]:
        """Where each graph's nodes and edges start, and how many there are. Shapes: [2, n] each."""
        ptr = torch.stack([self.ptr, self.rowptr[self.ptr]])  # [2, n + 1]
        return ptr[:, :-1].contiguous(), ptr.diff()

    def __getstate__(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_tables(cls, tables: Tables, features: NodeFeatures) -> GraphStore:
        """Put a data set and the features chosen for it together."""
        return cls(
            x=torch.from_numpy(features.x),
            codes=torch.from_numpy(features.codes),
            num_codes=features.num_codes,
            edge_index=torch.from_numpy(tables.edge_index),
            rowptr=torch.from_numpy(tables.rowptr),
            ptr=torch.from_numpy(tables.ptr),
            id=torch.arange(tables.num_graphs),
            y=None if tables.y is None else torch.from_numpy(tables.y),
            schema=features.schema,
        )

    @classmethod
    def from_data_list(
        cls, graphs: Sequence[Data], features: Sequence[str] | None = None, **options: Any
    ) -> GraphStore:
        """Make a store of any list of PyG ``Data`` or PyG data set; see ``data.load.from_list``."""
        from halpgraph.data.load import from_list

        return from_list(graphs, features, **options).graphs

    def __len__(self) -> int:
        return self.ptr.numel() - 1

    layout = None  # of skeletons; graphs have none
    chunk_nodes = 1 << 17  # views run over as many batches at once: fewer, larger operations

    def inputs(self, takes: str, stream: str | None = None) -> dict[str, Any]:
        """Return what an encoder is told of the data.

        Raises:
            UserError: an encoder of skeletons, or a stream of them.
        """
        if takes != "graph":
            raise UserError("needs skeletons, these graphs have no poses; use gin")
        if stream not in (None, "joint", "graph"):
            raise UserError(
                f"stream {stream}: needs skeletons, these graphs have no poses; "
                "use stream joint, which shows graphs as they are"
            )
        return {"num_codes": self.num_codes, "in_channels": self.x.size(1)}

    def source(self, ids: LongTensor | Tensor) -> Batch:
        """Return graphs as views want them; the same as ``batch``."""
        return self.batch(ids)

    def finish(self, batch: Batch) -> Batch:
        """Return a batch as encoders want it; nothing is left to be done to graphs."""
        return batch

    @property
    def num_features(self) -> int:
        """Return the width of the features written out, ``num_codes + F``."""
        return self.num_codes + self.x.size(1)

    def batch(self, ids: LongTensor | Tensor | None = None) -> Batch:
        """Return some graphs as a batch, in the order of ``ids``; all of them without ``ids``.

        Neighbours in the data set come as slices, without a copy of their features. A batch may
        share memory with the store: it must not be changed in place.

        Shapes: ids [B].

        Raises:
            TypeError: ids are not int64 (a mask, say).
            IndexError: an id is negative or too large.
        """
        if ids is None:
            return slice_batch(self._whole, 0, len(self))
        if ids.dtype != torch.long:
            raise TypeError(f"ids must be int64 positions of graphs, not {ids.dtype}")
        if ids.numel() == 0:
            return slice_batch(self._whole, 0, 0)
        first, last = (int(end) for end in ids.aminmax())
        if first < 0 or last >= len(self):
            raise IndexError(f"graphs {first} to {last} of {len(self)} (from 0)")
        row = last - first + 1 == ids.numel()
        if row and torch.equal(ids, torch.arange(first, last + 1, device=ids.device)):
            return slice_batch(self._whole, first, last + 1)
        return self._gather(ids)

    def _gather(self, ids: Tensor) -> Batch:
        start, count = (t.index_select(1, ids) for t in self._places)  # [2, B]
        new = start.new_zeros(2, ids.numel() + 1)
        torch.cumsum(count, 1, out=new[:, 1:])
        num_nodes, num_edges = new[:, -1].tolist()
        node_shift, edge_shift = start - new[:, :-1]  # [B] each: old minus new start
        batch = torch.repeat_interleave(count[0], output_size=num_nodes)  # [N]
        owner = torch.repeat_interleave(count[1], output_size=num_edges)  # [E]
        nodes = torch.arange(num_nodes, device=ids.device).add_(node_shift.index_select(0, batch))
        edges = torch.arange(num_edges, device=ids.device).add_(edge_shift.index_select(0, owner))
        rowptr = self.rowptr.new_full((num_nodes + 1,), num_edges)
        old = self.rowptr.index_select(0, nodes)
        torch.sub(old, edge_shift.index_select(0, batch), out=rowptr[:-1])
        targets = {} if self.y is None else {"y": self.y[ids]}
        return make_batch(
            x=self.x.index_select(0, nodes),
            codes=self.codes.index_select(0, nodes),
            num_codes=self.num_codes,
            edge_index=self.edge_index.index_select(1, edges).sub_(
                node_shift.index_select(0, owner)
            ),
            rowptr=rowptr,
            ptr=new[0],
            batch=batch,
            id=self.id[ids],
            **targets,
        )

    def __getitem__(self, index: int) -> Data:
        """Return one graph with its features written out, in memory of its own."""
        index = range(len(self))[index]
        graph = slice_batch(self._whole, index, index + 1)
        extra = {} if self.y is None else {"y": graph.y.clone()}
        return Data(
            x=node_features(graph).clone(),
            edge_index=graph.edge_index.clone(),
            id=graph.id.clone(),
            **extra,
        )

    def to(self, device: torch.device | str) -> GraphStore:
        """Return the store on a device."""
        values = self.__getstate__()
        moved: dict[str, Any] = {
            k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()
        }
        return GraphStore(**moved)

    def subset(self, ids: Sequence[int] | Tensor) -> GraphStore:
        """Return a store of some of the graphs; each keeps its ``id``. Shapes: ids [B]."""
        some = self.batch(torch.as_tensor(ids, dtype=torch.long, device=self.ptr.device))
        names = ("x", "codes", "edge_index", "rowptr", "ptr", "id", "y")
        tensors = {name: some[name] for name in names if name in some}
        return GraphStore(num_codes=self.num_codes, schema=self.schema, **tensors)

    def fingerprint(self) -> str:
        """Return the sha256 of everything in the store, the same on every device."""
        total = hashlib.sha256()
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                total.update(f"{item.name} {value.dtype} {tuple(value.shape)}".encode())
                total.update(value.detach().cpu().contiguous().numpy().data)
        total.update(f"num_codes {self.num_codes}".encode())
        return total.hexdigest()
