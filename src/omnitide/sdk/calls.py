"""Every operation as a request, once for both flavours of the client. Defaults are not sent."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from omnitide.model import blobs as mb
from omnitide.model import explanations as ex
from omnitide.model import foreseen as fo
from omnitide.model import happenings as hp
from omnitide.model import inventory as inv
from omnitide.model import metrics as mm
from omnitide.model import objects as ob
from omnitide.model import secrets as ms
from omnitide.model import services as sv
from omnitide.model import volumes as mv
from omnitide.model.normalise import present
from omnitide.model.spec import AgentSpec, JobSpec
from omnitide.sdk.exchange import Call
from omnitide.sdk.paths import path_of as _path


class CaBundle(msgspec.Struct, frozen=True):
    """The certificates that nodes and clients trust."""

    trust_bundle_pem: str
    fabric_id: str = ""
    server_time_ms: int = 0


Value = str | int | bool | Sequence[str] | None


def text_of(**fields: Value) -> dict[str, str]:
    """A query of what is not empty, zero or false."""
    query: dict[str, str] = {}
    for name, value in fields.items():
        if isinstance(value, bool):
            if value:
                query[name] = "true"
        elif isinstance(value, int):
            query[name] = str(value)
        elif value:
            query[name] = value if isinstance(value, str) else ",".join(value)
    return query


def _page(cursor: str, limit: int, **fields: Value) -> dict[str, str]:
    return text_of(cursor=cursor, limit=limit, **fields)


def _body(fields: Mapping[str, object]) -> bytes:
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})


def _agent(namespace: str, name: str, *verb: str) -> str:
    return _path("namespaces", namespace, "agents", name, *verb)


def _job(namespace: str, name: str, *verb: str) -> str:
    return _path("namespaces", namespace, "jobs", name, *verb)


# -- fabric ----------------------------------------------------------------------------------------------------------


def get_fabric(min_revision: int | None) -> Call[inv.FabricStatus]:
    return Call("GET", _path("fabric"), inv.FabricStatus, text_of(min_revision=min_revision))


def get_version() -> Call[inv.VersionInfo]:
    return Call("GET", _path("version"), inv.VersionInfo)


def raise_feature_level(level: int, dry_run: bool) -> Call[inv.FeatureLevelChanged]:
    query = text_of(dry_run=dry_run)
    return Call(
        "POST", _path("fabric", "feature-level"), inv.FeatureLevelChanged, query, _body({"level": level}), writes=True
    )


def foresee_changes(changes: Sequence[Mapping[str, str | int]]) -> Call[fo.Outlook]:
    return Call("POST", _path("foreseen"), fo.Outlook, {}, _body({"changes": changes}))


def check_live() -> Call[inv.Health]:
    return Call("GET", "/health/live", inv.Health, unready_is_answer=True)


def check_ready() -> Call[inv.Health]:
    return Call("GET", "/health/ready", inv.Health, unready_is_answer=True)


def get_ca() -> Call[CaBundle]:
    return Call("GET", _path("ca"), CaBundle)


# -- namespaces, tokens ----------------------------------------------------------------------------------------------


def list_namespaces(cursor: str, limit: int) -> Call[inv.NamespaceList]:
    return Call("GET", _path("namespaces"), inv.NamespaceList, _page(cursor, limit))


def create_namespace(name: str, dry_run: bool) -> Call[inv.NamespaceChanged]:
    query = text_of(dry_run=dry_run)
    return Call("POST", _path("namespaces"), inv.NamespaceChanged, query, _body({"name": name}), writes=True)


def delete_namespace(name: str, dry_run: bool) -> Call[inv.NamespaceChanged]:
    return Call("DELETE", _path("namespaces", name), inv.NamespaceChanged, text_of(dry_run=dry_run), writes=True)


def list_tokens(cursor: str, limit: int, purpose: str) -> Call[inv.TokenList]:
    return Call("GET", _path("tokens"), inv.TokenList, _page(cursor, limit, purpose=purpose))


def create_token(
    purpose: Literal["join", "api", "metrics", "login"],
    ttl: str | int | None,
    uses: int,
    note: str,
    labels: Mapping[str, str] | None,
    dry_run: bool,
) -> Call[inv.TokenCreated]:
    fields = {"purpose": purpose, "ttl": ttl, "uses": uses, "note": note or None, "labels": labels or None}
    return Call("POST", _path("tokens"), inv.TokenCreated, text_of(dry_run=dry_run), _body(fields), writes=True)


def revoke_token(identifier: str, force: bool, dry_run: bool) -> Call[inv.TokenRevoked]:
    query = text_of(force=force, dry_run=dry_run)
    return Call("DELETE", _path("tokens", identifier), inv.TokenRevoked, query, writes=True)


# -- secrets, configs, blobs -----------------------------------------------------------------------------------------


def list_secrets(cursor: str, limit: int, namespace: str) -> Call[ms.SecretList]:
    return Call("GET", _path("secrets"), ms.SecretList, _page(cursor, limit, namespace=namespace))


def get_secret(namespace: str, name: str) -> Call[ms.Secret]:
    return Call("GET", _path("namespaces", namespace, "secrets", name), ms.Secret)


def set_secret(namespace: str, name: str, data: str, dry_run: bool) -> Call[ms.SecretChanged]:
    path = _path("namespaces", namespace, "secrets", name)
    return Call("PUT", path, ms.SecretChanged, text_of(dry_run=dry_run), _body({"data": data}), writes=True)


def remove_secret(namespace: str, name: str, force: bool, dry_run: bool) -> Call[ms.SecretChanged]:
    path = _path("namespaces", namespace, "secrets", name)
    return Call("DELETE", path, ms.SecretChanged, text_of(force=force, dry_run=dry_run), writes=True)


def list_configs(cursor: str, limit: int, namespace: str) -> Call[ms.ConfigList]:
    return Call("GET", _path("configs"), ms.ConfigList, _page(cursor, limit, namespace=namespace))


def get_config(namespace: str, name: str) -> Call[ms.Config]:
    return Call("GET", _path("namespaces", namespace, "configs", name), ms.Config)


def set_config(namespace: str, name: str, data: str, dry_run: bool) -> Call[ms.ConfigChanged]:
    path = _path("namespaces", namespace, "configs", name)
    return Call("PUT", path, ms.ConfigChanged, text_of(dry_run=dry_run), _body({"data": data}), writes=True)


def remove_config(namespace: str, name: str, force: bool, dry_run: bool) -> Call[ms.ConfigChanged]:
    path = _path("namespaces", namespace, "configs", name)
    return Call("DELETE", path, ms.ConfigChanged, text_of(force=force, dry_run=dry_run), writes=True)


def list_blobs(cursor: str, limit: int) -> Call[mb.BlobList]:
    return Call("GET", _path("blobs"), mb.BlobList, _page(cursor, limit))


def put_blob(digest: str) -> Call[mb.Blob]:
    return Call("PUT", _path("blobs", digest), mb.Blob)


def get_blob(digest: str) -> Call[mb.Blob]:
    return Call("GET", _path("blobs", digest), mb.Blob)


def remove_blob(digest: str, dry_run: bool) -> Call[mb.BlobRemoved]:
    return Call("DELETE", _path("blobs", digest), mb.BlobRemoved, text_of(dry_run=dry_run), writes=True)


# -- metrics ---------------------------------------------------------------------------------------------------------


def query_metrics(
    name: str,
    match: Sequence[str],
    start_ms: int,
    end_ms: int,
    step_ms: int,
    aggregate: str,
    by: Sequence[str],
    combine: str,
) -> Call[mm.MetricAnswer]:
    query = text_of(
        name=name,
        match=match,
        start_ms=start_ms,
        end_ms=end_ms,
        step_ms=step_ms,
        aggregate=aggregate,
        by=by,
        combine=combine,
    )
    return Call("GET", _path("metrics", "query"), mm.MetricAnswer, query)


def list_metrics(prefix: str) -> Call[mm.MetricList]:
    return Call("GET", _path("metrics"), mm.MetricList, text_of(prefix=prefix))


# -- volumes ---------------------------------------------------------------------------------------------------------


def list_volumes(namespace: str, node: str, cursor: str, nodes: int) -> Call[mv.VolumeList]:
    return Call("GET", _path("volumes"), mv.VolumeList, _page(cursor, nodes, namespace=namespace, node=node))


def remove_volume(node: str, namespace: str, name: str, force: bool, dry_run: bool) -> Call[mv.VolumeRemoved]:
    path = _path("nodes", node, "volumes", namespace, name)
    return Call("DELETE", path, mv.VolumeRemoved, text_of(force=force, dry_run=dry_run), writes=True)


# -- nodes -----------------------------------------------------------------------------------------------------------


def list_nodes(cursor: str, limit: int, status: str, scheduling: str) -> Call[inv.NodeList]:
    query = _page(cursor, limit, status=status, scheduling=scheduling)
    return Call("GET", _path("nodes"), inv.NodeList, query)


def get_node(node: str) -> Call[inv.Node]:
    return Call("GET", _path("nodes", node), inv.Node)


def change_node(node: str, verb: Literal["cordon", "uncordon", "drain"], dry_run: bool) -> Call[inv.NodeChanged]:
    return Call("POST", _path("nodes", node, verb), inv.NodeChanged, text_of(dry_run=dry_run), writes=True)


def label_node(
    node: str, labels: Mapping[str, str] | None, remove: Sequence[str], dry_run: bool
) -> Call[inv.NodeChanged]:
    body = _body({"labels": dict(labels or {}) or None, "remove": list(remove) or None})
    return Call("POST", _path("nodes", node, "labels"), inv.NodeChanged, text_of(dry_run=dry_run), body, writes=True)


def remove_node(node: str, force: bool, dry_run: bool) -> Call[inv.NodeChanged]:
    query = text_of(force=force, dry_run=dry_run)
    return Call("DELETE", _path("nodes", node), inv.NodeChanged, query, writes=True)


# -- agents ----------------------------------------------------------------------------------------------------------


def list_agents(cursor: str, limit: int, namespace: str) -> Call[ob.AgentList]:
    return Call("GET", _path("agents"), ob.AgentList, _page(cursor, limit, namespace=namespace))


def get_agent(namespace: str, name: str, min_revision: int | None, within_s: float | None) -> Call[ob.Agent]:
    return Call("GET", _agent(namespace, name), ob.Agent, text_of(min_revision=min_revision), within_s=within_s)


def deploy_agent(
    namespace: str,
    name: str,
    spec: AgentSpec,
    replicas: int | None,
    take_over_replicas: bool,
    if_match: int | None,
    dry_run: bool,
) -> Call[ob.AgentChanged]:
    fields = {"spec": present(spec), "replicas": replicas, "take_over_replicas": take_over_replicas or None}
    return Call(
        "PUT",
        _agent(namespace, name),
        ob.AgentChanged,
        text_of(dry_run=dry_run),
        _body(fields),
        writes=True,
        if_match=if_match,
    )


def scale_agent(namespace: str, name: str, replicas: int, if_match: int | None, dry_run: bool) -> Call[ob.AgentChanged]:
    body = _body({"replicas": replicas})
    path = _agent(namespace, name, "scale")
    return Call("POST", path, ob.AgentChanged, text_of(dry_run=dry_run), body, writes=True, if_match=if_match)


def change_agent(
    namespace: str,
    name: str,
    verb: Literal["stop", "start", "rollout/pause", "rollout/resume"],
    if_match: int | None,
    dry_run: bool,
) -> Call[ob.AgentChanged]:
    path = _agent(namespace, name, *verb.split("/"))
    return Call("POST", path, ob.AgentChanged, text_of(dry_run=dry_run), writes=True, if_match=if_match)


def restart_agent(
    namespace: str, name: str, max_unavailable: int, if_match: int | None, dry_run: bool
) -> Call[ob.AgentChanged]:
    path = _agent(namespace, name, "restart")
    body = _body({"max_unavailable": max_unavailable or None})
    return Call("POST", path, ob.AgentChanged, text_of(dry_run=dry_run), body, writes=True, if_match=if_match)


def delete_agent(namespace: str, name: str, if_match: int | None, dry_run: bool) -> Call[ob.AgentChanged]:
    path = _agent(namespace, name)
    return Call("DELETE", path, ob.AgentChanged, text_of(dry_run=dry_run), writes=True, if_match=if_match)


def roll_back_agent(
    namespace: str, name: str, version: int, if_match: int | None, dry_run: bool
) -> Call[ob.AgentChanged]:
    body = _body({"version": version or None})
    path = _agent(namespace, name, "rollback")
    return Call("POST", path, ob.AgentChanged, text_of(dry_run=dry_run), body, writes=True, if_match=if_match)


def get_rollout(namespace: str, name: str, min_revision: int | None, within_s: float | None) -> Call[ob.RolloutStatus]:
    query = text_of(min_revision=min_revision)
    return Call("GET", _agent(namespace, name, "rollout"), ob.RolloutStatus, query, within_s=within_s)


def list_agent_versions(namespace: str, name: str) -> Call[ob.AgentVersionList]:
    return Call("GET", _agent(namespace, name, "versions"), ob.AgentVersionList)


def explain_agent(namespace: str, name: str, nodes: int, within_s: float | None) -> Call[ex.AgentExplanation]:
    path = _agent(namespace, name, "explain")
    return Call("GET", path, ex.AgentExplanation, text_of(nodes=nodes), within_s=within_s)


# -- jobs ------------------------------------------------------------------------------------------------------------


def list_jobs(cursor: str, limit: int, namespace: str, status: str) -> Call[ob.JobList]:
    return Call("GET", _path("jobs"), ob.JobList, _page(cursor, limit, namespace=namespace, status=status))


def get_job(namespace: str, name: str, min_revision: int | None, within_s: float | None) -> Call[ob.Job]:
    return Call("GET", _job(namespace, name), ob.Job, text_of(min_revision=min_revision), within_s=within_s)


def run_job(namespace: str, spec: JobSpec, name: str | None, dry_run: bool) -> Call[ob.JobChanged]:
    body = _body({"name": name, "spec": present(spec)})
    path = _path("namespaces", namespace, "jobs")
    return Call("POST", path, ob.JobChanged, text_of(dry_run=dry_run), body, writes=True)


def cancel_job(namespace: str, name: str, dry_run: bool) -> Call[ob.JobChanged]:
    return Call("POST", _job(namespace, name, "cancel"), ob.JobChanged, text_of(dry_run=dry_run), writes=True)


def delete_job(namespace: str, name: str, dry_run: bool) -> Call[ob.JobChanged]:
    return Call("DELETE", _job(namespace, name), ob.JobChanged, text_of(dry_run=dry_run), writes=True)


# -- instances -------------------------------------------------------------------------------------------------------


def list_instances(cursor: str, limit: int, filters: Mapping[str, str | bool]) -> Call[ob.InstanceList]:
    return Call("GET", _path("instances"), ob.InstanceList, _page(cursor, limit, **filters))


def get_instance(identifier: str) -> Call[ob.Instance]:
    return Call("GET", _path("instances", identifier), ob.Instance)


def migrate_instance(identifier: str, node: str, leave_volumes: bool, dry_run: bool) -> Call[ob.InstanceMigrated]:
    body = _body({"node": node or None, "leave_volumes": leave_volumes or None})
    path = _path("instances", identifier, "migrate")
    return Call("POST", path, ob.InstanceMigrated, text_of(dry_run=dry_run), body, writes=True)


def restart_instance(identifier: str, dry_run: bool) -> Call[ob.InstanceChanged]:
    path = _path("instances", identifier, "restart")
    return Call("POST", path, ob.InstanceChanged, text_of(dry_run=dry_run), writes=True)


def explain_instance(identifier: str, nodes: int) -> Call[ex.InstanceExplanation]:
    path = _path("instances", identifier, "explain")
    return Call("GET", path, ex.InstanceExplanation, text_of(nodes=nodes))


def read_logs(identifier: str, follow: bool, tail: int | None, since_ms: int, after: str) -> Call[hp.LogChunk]:
    query = text_of(follow=follow, tail=tail, after=after or None)
    if since_ms:
        query["since"] = f"{since_ms}ms"
    return Call("GET", _path("instances", identifier, "logs"), hp.LogChunk, query)


def search_logs(filters: Mapping[str, Value]) -> Call[hp.OutputLine]:
    return Call("GET", _path("logs"), hp.OutputLine, text_of(**{name: one or None for name, one in filters.items()}))


def list_services(namespace: str, cursor: str, limit: int) -> Call[sv.ServiceList]:
    return Call("GET", _path("namespaces", namespace, "services"), sv.ServiceList, _page(cursor, limit))


def get_service(namespace: str, name: str) -> Call[sv.Service]:
    return Call("GET", _path("namespaces", namespace, "services", name), sv.Service)


def files(method: Literal["GET", "PUT"], identifier: str, path: str) -> Call[None]:
    """Of an instance, as a tar stream."""
    return Call(method, _path("instances", identifier, "files"), type(None), {"path": path})


# -- events ----------------------------------------------------------------------------------------------------------


def list_events(
    after: int, skip: int, last: int, kinds: Sequence[str], namespace: str, subject: str, limit: int
) -> Call[hp.EventPage]:
    query = text_of(after=after, skip=skip, last=last, kinds=kinds, namespace=namespace, subject=subject, limit=limit)
    return Call("GET", _path("events"), hp.EventPage, query)


def watch_query(kinds: Sequence[str], namespace: str, subject: str) -> dict[str, str]:
    return text_of(kinds=kinds, namespace=namespace, subject=subject)
