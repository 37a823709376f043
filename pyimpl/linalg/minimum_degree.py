"""A fill-reducing order for sparse Cholesky factors: approximate minimum degree, up to a dense core.

The quotient graph and its degrees are those of Amestoy, Davis & Duff (1996, SIAM J. Matrix Anal. Appl. 17, 886-905):
eliminated nodes are elements, each the list of nodes that it joins; elements within another are absorbed, nodes whose
elements and neighbours are the same are merged, and the degree of a node is bounded by the sizes of its elements less
what they share with the newest. Random graphs, such as those of crossed factors, end in a core in which everything
touches everything; the elimination stops there, and the core is left to dense algebra.
"""

import numpy as np

from pyimpl.compiled import kernel

__all__ = ["minimum_degree"]


@kernel
def _unlink(i, degree, head, after, before):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    if before[i] >= 0:
        after[before[i]] = after[i]
    else:
        head[degree[i]] = after[i]
    if after[i] >= 0:
        before[after[i]] = before[i]


@kernel
def _link(i, degree, head, after, before):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    d = degree[i]
    before[i] = -1
    after[i] = head[d]
    if head[d] >= 0:
        before[head[d]] = i
    head[d] = i


@kernel("i1 i1 f")
def minimum_degree(indptr, indices, core):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """Order the nodes of a symmetric graph.

    Parameters
    ----------
    indptr, indices : ndarray of int64
        Neighbours of each node, without itself, symmetric.
    core : float
        The elimination stops where the smallest degree is at least this share of the nodes that are left.

    Returns
    -------
    order : ndarray of int64, shape (n,)
        The nodes as they are to be eliminated; the core's last.
    size : int
        Nodes in the core.
    """
    n = indptr.shape[0] - 1
    lists = indices.copy()  # node i: its elements, then its neighbours
    start = indptr[:-1].copy()
    n_elements = np.zeros(n, dtype=np.int64)
    n_nodes = np.diff(indptr)
    weight = np.ones(n, dtype=np.int64)  # nodes merged into this one; 0: gone
    element_start = np.zeros(n, dtype=np.int64)
    element_size = np.full(n, -1, dtype=np.int64)  # -1: no (living) element
    buffer = np.empty(max(16, 2 * indices.shape[0]), dtype=np.int64)
    used = 0
    created = np.empty(n, dtype=np.int64)
    n_created = 0
    merged_next = np.full(n, -1, dtype=np.int64)  # chains of merged nodes
    merged_last = np.arange(n)
    degree = n_nodes.copy()
    head = np.full(n + 1, -1, dtype=np.int64)
    after, before = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    for i in range(n):
        _link(i, degree, head, after, before)
    mark = np.full(n, -1, dtype=np.int64)
    outside, stamp = np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    order = np.empty(n, dtype=np.int64)
    placed = 0
    left = n
    lowest = 0
    hash_head = np.full(n, -1, dtype=np.int64)
    hash_next = np.full(n, -1, dtype=np.int64)
    hash_of = np.zeros(n, dtype=np.int64)
    seen = np.full(n, -1, dtype=np.int64)
    seen_stamp = 0
    turn = 0
    while left > 0:
        while head[lowest] < 0:
            lowest += 1
        p = head[lowest]
        if lowest >= core * (left - weight[p]):
            break
        _unlink(p, degree, head, after, before)
        need = n_nodes[p]
        for a in range(start[p], start[p] + n_elements[p]):
            need += max(element_size[lists[a]], 0)
        if used + need > buffer.shape[0]:  # close the gaps that absorbed elements left
            used = 0
            alive = 0
            for c in range(n_created):
                e = created[c]
                if element_size[e] >= 0:
                    begin = element_start[e]
                    for a in range(element_size[e]):
                        buffer[used + a] = buffer[begin + a]
                    element_start[e] = used
                    used += element_size[e]
                    created[alive] = e
                    alive += 1
            n_created = alive
            if used + need > buffer.shape[0]:
                bigger = np.empty(2 * (used + need), dtype=np.int64)
                bigger[:used] = buffer[:used]
                buffer = bigger
        # the new element: all nodes that p touches
        begin = used
        mark[p] = turn
        total = 0
        for a in range(start[p], start[p] + n_elements[p]):
            e = lists[a]
            if element_size[e] < 0:
                continue
            for b in range(element_start[e], element_start[e] + element_size[e]):
                i = buffer[b]
                if weight[i] > 0 and mark[i] != turn:
                    mark[i] = turn
                    buffer[used] = i
                    used += 1
                    total += weight[i]
            element_size[e] = -1
        for a in range(start[p] + n_elements[p], start[p] + n_elements[p] + n_nodes[p]):
            i = lists[a]
            if weight[i] > 0 and mark[i] != turn:
                mark[i] = turn
                buffer[used] = i
                used += 1
                total += weight[i]
        i = p
        while i >= 0:
            order[placed] = i
            placed += 1
            i = merged_next[i]
        left -= weight[p]
        weight[p] = 0
        element_start[p] = begin
        element_size[p] = used - begin
        created[n_created] = p
        n_created += 1
        # what other elements have outside the new one
        for b in range(begin, used):
            i = buffer[b]
            for a in range(start[i], start[i] + n_elements[i]):
                e = lists[a]
                if element_size[e] < 0:
                    continue
                if stamp[e] != turn:
                    stamp[e] = turn
                    size = 0
                    for c in range(element_start[e], element_start[e] + element_size[e]):
                        size += weight[buffer[c]]
                    outside[e] = size
                outside[e] -= weight[i]
        for b in range(begin, used):
            i = buffer[b]
            _unlink(i, degree, head, after, before)
            s = start[i]
            bound = 0
            h = 0
            kept = 0
            for a in range(s, s + n_elements[i]):
                e = lists[a]
                if element_size[e] < 0:
                    continue
                if outside[e] <= 0:
                    continue  # within the new element: absorbed below
                bound += outside[e]
                h += e
                lists[s + kept] = e
                kept += 1
            first_node = s + n_elements[i]
            last_node = first_node + n_nodes[i]
            # room for the new element: at least one neighbour or element of i has gone (p, or an element of p)
            nodes = 0
            write = s + kept + 1
            held = -1  # the node that the new element's place may overwrite
            for a in range(first_node, last_node):
                k = lists[a]
                if weight[k] > 0 and mark[k] != turn:
                    if write > a:
                        held = k
                    else:
                        lists[write] = k
                        write += 1
                    nodes += 1
                    bound += weight[k]
                    h += k
            if held >= 0:
                lists[write] = held
            lists[s + kept] = p
            n_elements[i] = kept + 1
            n_nodes[i] = nodes
            if kept == 0 and nodes == 0:
                hash_of[i] = -1  # touches nothing else: eliminated together with p
            else:
                hash_of[i] = (h + p) % n
            degree[i] = min(degree[i] + total - weight[i], bound + total - weight[i])
        # absorb elements that lie within the new one
        for b in range(begin, used):
            i = buffer[b]
            for a in range(start[i], start[i] + n_elements[i]):
                e = lists[a]
                if e != p and element_size[e] >= 0 and stamp[e] == turn and outside[e] <= 0:
                    element_size[e] = -1
        # merge nodes that cannot be told apart
        for b in range(begin, used):
            i = buffer[b]
            if hash_of[i] >= 0:
                hash_next[i] = hash_head[hash_of[i]]
                hash_head[hash_of[i]] = i
        for b in range(begin, used):
            h = hash_of[buffer[b]]
            if h < 0:
                continue
            i = hash_head[h]
            hash_head[h] = -1
            while i >= 0:
                if weight[i] > 0 and hash_next[i] >= 0:
                    seen_stamp += 1
                    size = n_elements[i] + n_nodes[i]
                    for a in range(start[i], start[i] + size):
                        seen[lists[a]] = seen_stamp
                    k = hash_next[i]
                    while k >= 0:
                        if weight[k] > 0 and n_elements[k] == n_elements[i] and n_nodes[k] == n_nodes[i]:
                            same = True
                            for a in range(start[k], start[k] + size):
                                if seen[lists[a]] != seen_stamp:
                                    same = False
                                    break
                            if same:
                                weight[i] += weight[k]
                                degree[i] -= weight[k]
                                weight[k] = 0
                                merged_next[merged_last[i]] = k
                                merged_last[i] = merged_last[k]
                        k = hash_next[k]
                i = hash_next[i]
        kept = begin
        for b in range(begin, used):
            i = buffer[b]
            if weight[i] == 0:
                continue
            if hash_of[i] < 0:
                k = i
                while k >= 0:
                    order[placed] = k
                    placed += 1
                    k = merged_next[k]
                left -= weight[i]
                weight[i] = 0
                continue
            buffer[kept] = i
            kept += 1
        used = kept
        element_size[p] = used - begin
        if used == begin:
            element_size[p] = -1
        for b in range(begin, used):
            i = buffer[b]
            degree[i] = max(0, min(degree[i], left - weight[i]))
            _link(i, degree, head, after, before)
            lowest = min(lowest, degree[i])
        turn += 1
    size = n - placed
    for i in range(n):
        if weight[i] > 0:
            k = i
            while k >= 0:
                order[placed] = k
                placed += 1
                k = merged_next[k]
    return order, size
