//! [`cut`]: finds few nodes of a graph such that each circle goes through one of them.
//!
//! To find the fewest takes too long. So the best node is taken out of each strongly connected component, and what is left falls apart into smaller ones.

/// How many edges are followed at most, all in all. It is more than a program of some megabytes needs.
const MOST_STEPS: usize = 1 << 24;

/// Of so many nodes of a component, one more is cut at once, so that large ones do not take too long.
const AT_ONCE: usize = 500;

/// The edges of a graph whose nodes have numbers.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Where the edges of each node begin, and where those of the last one end.
    starts: Vec<usize>,
    edges: Vec<u32>,
}

impl Graph {
    /// The edges of each node are given in order.
    pub(crate) fn new(all: impl Iterator<Item = Vec<u32>>) -> Self {
        let mut graph = Self { starts: vec![0], edges: Vec::new() };
        for mut edges in all {
            edges.sort_unstable();
            edges.dedup();
            graph.edges.extend(edges);
            graph.starts.push(graph.edges.len());
        }
        graph
    }

    pub(crate) fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    pub(crate) fn edges(&self, node: usize) -> &[u32] {
        &self.edges[self.starts[node]..self.starts[node + 1]]
    }
}

/// What [`cut`] has found.
#[derive(Debug)]
pub(crate) struct Cut {
    /// For each node, whether it is one of those that each circle goes through.
    pub(crate) is_cut: Vec<bool>,
    /// Nodes that may be in circles yet, because it would have taken too long to cut them.
    pub(crate) left: Vec<usize>,
    /// All nodes, each after those that it leads to, unless they are in a circle with it. Of those, the ones that are cut come first.
    pub(crate) order: Vec<usize>,
}

/// Cuts all circles. `is_cut` are the nodes that are cut already. A node is worth cutting by `worth`, which is given how many edges of the component lead to it
/// and from it.
pub(crate) fn cut(
    graph: &Graph,
    mut is_cut: Vec<bool>,
    worth: impl Fn(usize, u64, u64) -> u64,
) -> Cut {
    let mut search = Components::new(graph);
    let whole = search.of(&(0..graph.nodes()).collect::<Vec<_>>(), &vec![false; graph.nodes()]);
    let mut left = Vec::new();
    let mut into = vec![0; graph.nodes()];
    let mut open: Vec<Vec<usize>> =
        whole.iter().filter(|nodes| graph.is_circle(nodes)).cloned().collect();
    while let Some(nodes) = open.pop() {
        if search.steps > MOST_STEPS {
            left.extend(nodes);
            continue;
        }
        for mut component in search.of(&nodes, &is_cut) {
            if !graph.is_circle(&component) {
                continue;
            }
            let inside = search.mark(&component);
            let inner = |node: usize| {
                let edges = graph.edges(node).iter().map(|&to| to as usize);
                edges.filter(|&to| search.part[to] == inside)
            };
            component.iter().for_each(|&node| into[node] = 0);
            component.iter().for_each(|&node| inner(node).for_each(|to| into[to] += 1));
            let mut best = component.clone();
            best.sort_by_cached_key(|&node| {
                let worth = worth(node, into[node], inner(node).count() as u64);
                (std::cmp::Reverse(worth), node)
            });
            best.truncate(1 + component.len() / AT_ONCE);
            best.iter().for_each(|&node| is_cut[node] = true);
            component.retain(|&node| !is_cut[node]);
            open.push(component);
        }
    }
    let mut order = Vec::with_capacity(graph.nodes());
    for mut component in whole {
        component.sort_by_key(|&node| (!is_cut[node], node));
        order.extend(component);
    }
    Cut { is_cut, left, order }
}

impl Graph {
    /// Whether a strongly connected component is a circle, and not a node alone.
    fn is_circle(&self, component: &[usize]) -> bool {
        match component {
            [node] => self.edges(*node).contains(&(*node as u32)),
            _ => component.len() > 1,
        }
    }
}

/// A node whose edges are being followed.
struct Open {
    node: usize,
    /// How many of the edges have been looked at.
    next: usize,
}

/// Finds strongly connected components, by Tarjan's algorithm.
struct Components<'a> {
    graph: &'a Graph,
    /// For each node, the number of the part of the graph that was looked at last and has it.
    part: Vec<u32>,
    last_part: u32,
    /// For each node, when it was seen.
    seen: Vec<u32>,
    lowest: Vec<u32>,
    on_stack: Vec<bool>,
    /// How many edges were followed so far.
    steps: usize,
}

impl<'a> Components<'a> {
    fn new(graph: &'a Graph) -> Self {
        let nodes = graph.nodes();
        Self {
            graph,
            part: vec![0; nodes],
            last_part: 0,
            seen: vec![0; nodes],
            lowest: vec![0; nodes],
            on_stack: vec![false; nodes],
            steps: 0,
        }
    }

    fn mark(&mut self, nodes: &[usize]) -> u32 {
        self.last_part += 1;
        nodes.iter().for_each(|&node| self.part[node] = self.last_part);
        self.last_part
    }

    /// The components of a part of the graph without the nodes that are cut, each after those that it leads to.
    fn of(&mut self, nodes: &[usize], is_cut: &[bool]) -> Vec<Vec<usize>> {
        const UNSEEN: u32 = u32::MAX;
        let part = self.mark(nodes);
        nodes.iter().for_each(|&node| self.seen[node] = UNSEEN);
        let mut components = Vec::new();
        let (mut stack, mut seen) = (Vec::new(), 0);
        for &root in nodes {
            if self.seen[root] != UNSEEN || is_cut[root] {
                continue;
            }
            let mut open = vec![Open { node: root, next: 0 }];
            while let Some(Open { node, next }) = open.last_mut() {
                let node = *node;
                if *next == 0 {
                    (self.seen[node], self.lowest[node]) = (seen, seen);
                    seen += 1;
                    stack.push(node);
                    self.on_stack[node] = true;
                }
                if let Some(&to) = self.graph.edges(node).get(*next) {
                    *next += 1;
                    self.steps += 1;
                    let to = to as usize;
                    if self.part[to] != part || is_cut[to] {
                        continue;
                    }
                    if self.seen[to] == UNSEEN {
                        open.push(Open { node: to, next: 0 });
                    } else if self.on_stack[to] {
                        self.lowest[node] = self.lowest[node].min(self.seen[to]);
                    }
                    continue;
                }
                open.pop();
                if let Some(Open { node: from, .. }) = open.last() {
                    self.lowest[*from] = self.lowest[*from].min(self.lowest[node]);
                }
                if self.lowest[node] == self.seen[node] {
                    let first = stack.iter().rposition(|&other| other == node).unwrap_or(0);
                    let component = stack.split_off(first);
                    component.iter().for_each(|&node| self.on_stack[node] = false);
                    components.push(component);
                }
            }
        }
        components
    }
}
