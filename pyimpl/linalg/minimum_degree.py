"""A fill-reducing order for sparse Cholesky factors: approximate minimum degree, up to a dense core.

The quotient graph and its degrees are those of Amestoy, Davis & Duff (1996, SIAM J. Matrix Anal. Appl. 17, 886-905):
eliminated nodes are elements, each the list of nodes that it joins; elements within another are absorbed, nodes whose
elements and neighbours are the same are merged, and the degree of a node is bounded by the sizes of its elements less
what they share with the newest. Random graphs, such as those of crossed factors, end in a core in which everything
touches everything; the elimination stops there, and the core is left to dense algebra.
"""

import cython
import numpy as np

__all__ = ["minimum_degree"]


def minimum_degree(
    indptr: cython.Py_ssize_t[::1], indices: cython.Py_ssize_t[::1], core: cython.double
) -> tuple[np.ndarray, int]:
    """Order the nodes of a symmetric graph.

    Parameters
    ----------
    indptr, indices : ndarray of int, shapes (n + 1,) and (edges, twice,)
        Neighbours of each node, without itself, symmetric.
    core : float
        The elimination stops where the smallest degree is at least this share of the nodes that are left.

    Returns
    -------
    order : ndarray of int, shape (n,)
        The nodes as they are to be eliminated; the core's last.
    size : int
        Nodes in the core.
    """
    graph: QuotientGraph = QuotientGraph(indptr, indices)
    i: cython.Py_ssize_t
    while graph.left > 0:
        i = graph.next_node()
        if graph.lowest >= core * (graph.left - graph.weight[i]):
            break
        graph.eliminate(i)
    size: cython.Py_ssize_t = graph.n - graph.placed
    for i in range(graph.n):
        if graph.weight[i] > 0:
            graph.put(i)
    return np.asarray(graph.order), size


@cython.cclass
class QuotientGraph:
    """The graph as it is after some eliminations: nodes that are left, and elements, the eliminated ones.

    Attributes
    ----------
    lists, start, n_elements, n_nodes : ndarray of int
        From `start[i]` on, `lists` has the elements of node i, then its neighbours.
    weight : ndarray of int, shape (n,)
        Nodes merged into this one, itself included; 0: gone.
    merged_next, merged_last : ndarray of int, shape (n,)
        Chains of merged nodes.
    buffer, used, element_start, element_size
        The elements' nodes; a size of −1 is that of no element, or of one that was absorbed.
    created, n_created
        The elements, in the order of their nodes in the buffer.
    degree, head, after, before : ndarray of int
        Nodes of each (approximate) degree, as linked lists; no node has less than the `lowest`.
    mark, stamp, outside, turn
        Nodes of the newest element are marked with the present turn; so are elements whose nodes outside it were
        counted.
    hash_head, hash_next, hash_of, seen, seen_stamp
        Nodes that may have the same elements and neighbours.
    order, placed, left
        The nodes eliminated, how many, and how many are left.
    """

    def __init__(self, indptr: cython.Py_ssize_t[::1], indices: cython.Py_ssize_t[::1]) -> None:
        n: cython.Py_ssize_t = indptr.shape[0] - 1
        i: cython.Py_ssize_t
        self.n = self.left = n
        self.placed = self.turn = self.lowest = self.used = self.n_created = self.seen_stamp = 0
        degree = np.diff(indptr)
        self.lists = np.array(indices)
        self.start = np.array(indptr[:n])
        self.n_elements, self.n_nodes = np.zeros(n, dtype=np.intp), degree.copy()
        self.weight = np.ones(n, dtype=np.intp)
        self.merged_next, self.merged_last = np.full(n, -1, dtype=np.intp), np.arange(n, dtype=np.intp)
        self.buffer = np.empty(max(16, 2 * indices.shape[0]), dtype=np.intp)
        self.created, self.element_start = np.empty(n, dtype=np.intp), np.zeros(n, dtype=np.intp)
        self.element_size = np.full(n, -1, dtype=np.intp)
        self.degree, self.head = degree, np.full(n + 1, -1, dtype=np.intp)
        self.after, self.before = np.full(n, -1, dtype=np.intp), np.full(n, -1, dtype=np.intp)
        self.mark, self.stamp = np.full(n, -1, dtype=np.intp), np.full(n, -1, dtype=np.intp)
        self.outside = np.zeros(n, dtype=np.intp)
        self.hash_head, self.hash_next = np.full(n, -1, dtype=np.intp), np.full(n, -1, dtype=np.intp)
        self.hash_of, self.seen = np.zeros(n, dtype=np.intp), np.full(n, -1, dtype=np.intp)
        self.order = np.empty(n, dtype=np.intp)
        for i in range(n):
            self.link(i)

    def link(self, i: cython.Py_ssize_t):
        """Put a node among those of its degree."""
        d: cython.Py_ssize_t = self.degree[i]
        self.before[i] = -1
        self.after[i] = self.head[d]
        if self.head[d] >= 0:
            self.before[self.head[d]] = i
        self.head[d] = i

    def unlink(self, i: cython.Py_ssize_t):
        """Take a node out of those of its degree."""
        if self.before[i] >= 0:
            self.after[self.before[i]] = self.after[i]
        else:
            self.head[self.degree[i]] = self.after[i]
        if self.after[i] >= 0:
            self.before[self.after[i]] = self.before[i]

    def next_node(self):
        """A node of the lowest degree."""
        while self.head[self.lowest] < 0:
            self.lowest += 1
        return self.head[self.lowest]

    def put(self, i: cython.Py_ssize_t):
        """Put a node, and those merged into it, into the order."""
        while i >= 0:
            self.order[self.placed] = i
            self.placed += 1
            i = self.merged_next[i]

    def eliminate(self, p: cython.Py_ssize_t):
        """Make an element of a node."""
        b: cython.Py_ssize_t
        a: cython.Py_ssize_t
        need: cython.Py_ssize_t = self.n_nodes[p]
        self.unlink(p)
        for a in range(self.start[p], self.start[p] + self.n_elements[p]):
            need += max(self.element_size[self.lists[a]], 0)
        self.make_room(need)
        begin: cython.Py_ssize_t = self.used
        total: cython.Py_ssize_t = self.join(p)
        self.put(p)
        self.left -= self.weight[p]
        self.weight[p] = 0
        self.element_start[p] = begin
        self.element_size[p] = self.used - begin
        self.created[self.n_created] = p
        self.n_created += 1
        self.measure(begin)
        for b in range(begin, self.used):
            self.unlink(self.buffer[b])
            self.update(self.buffer[b], p, total)
        self.absorb(p, begin)
        self.merge(begin)
        self.finish(p, begin)
        self.turn += 1
        return 0

    def make_room(self, need: cython.Py_ssize_t):
        """Have room for so many nodes at the buffer's end: close the gaps that absorbed elements left, or grow."""
        c: cython.Py_ssize_t
        e: cython.Py_ssize_t
        a: cython.Py_ssize_t
        begin: cython.Py_ssize_t
        alive: cython.Py_ssize_t = 0
        if self.used + need <= self.buffer.shape[0]:
            return 0
        self.used = 0
        for c in range(self.n_created):
            e = self.created[c]
            if self.element_size[e] >= 0:
                begin = self.element_start[e]
                for a in range(self.element_size[e]):
                    self.buffer[self.used + a] = self.buffer[begin + a]
                self.element_start[e] = self.used
                self.used += self.element_size[e]
                self.created[alive] = e
                alive += 1
        self.n_created = alive
        if self.used + need > self.buffer.shape[0]:
            bigger = np.empty(2 * (self.used + need), dtype=np.intp)
            bigger[: self.used] = np.asarray(self.buffer)[: self.used]
            self.buffer = bigger
        return 0

    def join(self, p: cython.Py_ssize_t):
        """Put all nodes that p touches at the buffer's end, and absorb its elements; how many nodes, all told."""
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        e: cython.Py_ssize_t
        i: cython.Py_ssize_t
        total: cython.Py_ssize_t = 0
        nodes: cython.Py_ssize_t = self.start[p] + self.n_elements[p]
        self.mark[p] = self.turn
        for a in range(self.start[p], nodes):
            e = self.lists[a]
            if self.element_size[e] < 0:
                continue
            for b in range(self.element_start[e], self.element_start[e] + self.element_size[e]):
                i = self.buffer[b]
                if self.weight[i] > 0 and self.mark[i] != self.turn:
                    self.mark[i] = self.turn
                    self.buffer[self.used] = i
                    self.used += 1
                    total += self.weight[i]
            self.element_size[e] = -1
        for a in range(nodes, nodes + self.n_nodes[p]):
            i = self.lists[a]
            if self.weight[i] > 0 and self.mark[i] != self.turn:
                self.mark[i] = self.turn
                self.buffer[self.used] = i
                self.used += 1
                total += self.weight[i]
        return total

    def measure(self, begin: cython.Py_ssize_t):
        """Count what other elements have outside the newest."""
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        e: cython.Py_ssize_t
        i: cython.Py_ssize_t
        size: cython.Py_ssize_t
        for b in range(begin, self.used):
            i = self.buffer[b]
            for a in range(self.start[i], self.start[i] + self.n_elements[i]):
                e = self.lists[a]
                if self.element_size[e] < 0:
                    continue
                if self.stamp[e] != self.turn:
                    self.stamp[e] = self.turn
                    size = 0
                    for c in range(self.element_start[e], self.element_start[e] + self.element_size[e]):
                        size += self.weight[self.buffer[c]]
                    self.outside[e] = size
                self.outside[e] -= self.weight[i]

    def update(self, i: cython.Py_ssize_t, p: cython.Py_ssize_t, total: cython.Py_ssize_t):
        """The lists, the degree and the hash of a node of the newest element p, which has so many nodes."""
        a: cython.Py_ssize_t
        e: cython.Py_ssize_t
        k: cython.Py_ssize_t
        s: cython.Py_ssize_t = self.start[i]
        first_node: cython.Py_ssize_t = s + self.n_elements[i]
        bound: cython.Py_ssize_t = 0
        code: cython.Py_ssize_t = 0
        kept: cython.Py_ssize_t = 0
        nodes: cython.Py_ssize_t = 0
        for a in range(s, first_node):
            e = self.lists[a]
            # those that lie within the newest element are absorbed
            if self.element_size[e] < 0 or self.outside[e] <= 0:
                continue
            bound += self.outside[e]
            code += e
            self.lists[s + kept] = e
            kept += 1
        # there is room for the newest element: at least one neighbour or element of i has gone (p, or one of p's)
        write: cython.Py_ssize_t = s + kept + 1
        held: cython.Py_ssize_t = -1  # the node that the newest element's place may overwrite
        for a in range(first_node, first_node + self.n_nodes[i]):
            k = self.lists[a]
            if self.weight[k] > 0 and self.mark[k] != self.turn:
                if write > a:
                    held = k
                else:
                    self.lists[write] = k
                    write += 1
                nodes += 1
                bound += self.weight[k]
                code += k
        if held >= 0:
            self.lists[write] = held
        self.lists[s + kept] = p
        self.n_elements[i] = kept + 1
        self.n_nodes[i] = nodes
        # a node that touches nothing else is eliminated together with p
        self.hash_of[i] = -1 if kept == 0 and nodes == 0 else (code + p) % self.n
        self.degree[i] = min(self.degree[i], bound) + total - self.weight[i]

    def absorb(self, p: cython.Py_ssize_t, begin: cython.Py_ssize_t):
        """Drop elements that lie within the newest."""
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        e: cython.Py_ssize_t
        i: cython.Py_ssize_t
        for b in range(begin, self.used):
            i = self.buffer[b]
            for a in range(self.start[i], self.start[i] + self.n_elements[i]):
                e = self.lists[a]
                if e != p and self.element_size[e] >= 0 and self.stamp[e] == self.turn and self.outside[e] <= 0:
                    self.element_size[e] = -1

    def merge(self, begin: cython.Py_ssize_t):
        """Merge nodes of the newest element that have the same elements and neighbours."""
        b: cython.Py_ssize_t
        i: cython.Py_ssize_t
        code: cython.Py_ssize_t
        for b in range(begin, self.used):
            i = self.buffer[b]
            if self.hash_of[i] >= 0:
                self.hash_next[i] = self.hash_head[self.hash_of[i]]
                self.hash_head[self.hash_of[i]] = i
        for b in range(begin, self.used):
            code = self.hash_of[self.buffer[b]]
            if code < 0:
                continue
            i = self.hash_head[code]
            self.hash_head[code] = -1
            while i >= 0:
                if self.weight[i] > 0 and self.hash_next[i] >= 0:
                    self.merge_same(i)
                i = self.hash_next[i]

    def merge_same(self, i: cython.Py_ssize_t):
        """Merge into a node those behind it, of the same hash, that cannot be told apart from it."""
        a: cython.Py_ssize_t
        k: cython.Py_ssize_t
        size: cython.Py_ssize_t = self.n_elements[i] + self.n_nodes[i]
        same: cython.bint
        self.seen_stamp += 1
        for a in range(self.start[i], self.start[i] + size):
            self.seen[self.lists[a]] = self.seen_stamp
        k = self.hash_next[i]
        while k >= 0:
            if self.weight[k] > 0 and self.n_elements[k] == self.n_elements[i] and self.n_nodes[k] == self.n_nodes[i]:
                same = True
                for a in range(self.start[k], self.start[k] + size):
                    if self.seen[self.lists[a]] != self.seen_stamp:
                        same = False
                        break
                if same:
                    self.weight[i] += self.weight[k]
                    self.degree[i] -= self.weight[k]
                    self.weight[k] = 0
                    self.merged_next[self.merged_last[i]] = k
                    self.merged_last[i] = self.merged_last[k]
            k = self.hash_next[k]

    def finish(self, p: cython.Py_ssize_t, begin: cython.Py_ssize_t):
        """Leave in the newest element only nodes that are left, and put them among those of their new degrees."""
        b: cython.Py_ssize_t
        i: cython.Py_ssize_t
        kept: cython.Py_ssize_t = begin
        for b in range(begin, self.used):
            i = self.buffer[b]
            if self.weight[i] == 0:
                continue
            if self.hash_of[i] < 0:
                self.put(i)
                self.left -= self.weight[i]
                self.weight[i] = 0
                continue
            self.buffer[kept] = i
            kept += 1
        self.used = kept
        self.element_size[p] = kept - begin if kept > begin else -1
        for b in range(begin, kept):
            i = self.buffer[b]
            self.degree[i] = max(0, min(self.degree[i], self.left - self.weight[i]))
            self.link(i)
            self.lowest = min(self.lowest, self.degree[i])
