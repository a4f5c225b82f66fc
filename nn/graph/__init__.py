"""Static dataflow graphs: trace a function of tensors, look at it, improve it, run it without the function.

    graph = trace(lambda x: (x @ w + b).relu(), example)
    print(graph)
    plan = Plan(optimise(graph))
    plan(x)

A graph is a list of nodes in running order: placeholders (inputs), constants (arrays), variables (parameters, read
at every run) and operations. Shapes and dtypes are those of the example inputs, and are checked at every run.
"""

from nn.graph.batch import trace_inference
from nn.graph.convolution import find_towers, fuse_convolutions
from nn.graph.elementwise import fuse_elementwise
from nn.graph.node import Graph, Node, trace
from nn.graph.plan import Plan
from nn.graph.rewrite import freeze, optimise

__all__ = [
    "Graph", "Node", "Plan", "find_towers", "freeze", "fuse_convolutions", "fuse_elementwise", "optimise", "trace",
    "trace_inference",
]  # fmt: skip
