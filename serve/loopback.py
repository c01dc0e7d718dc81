"""Keep a replica's own server off the network where Ray itself is on loopback."""

from __future__ import annotations

LOOPBACK_IP = "127.0.0.1"


def keep_replica_on_loopback() -> None:
    """Bind this replica's request server to 127.0.0.1 if that is this Ray node's address.

    Every Serve replica starts a gRPC server for calls between deployments on all interfaces, and
    it unpickles what it is sent. To be called in the constructor of a deployment: Serve starts the
    server after it. On a cluster the other nodes need the server, so nothing changes there.
    """
    import ray
    from ray.serve._private import replica

    if ray.util.get_node_ip_address() != LOOPBACK_IP:
        return
    add_port = replica.add_port_to_grpc_server

    def on_loopback(server: object, address: str) -> int:
        return add_port(server, address.replace("[::]", LOOPBACK_IP))

    replica.add_port_to_grpc_server = on_loopback
