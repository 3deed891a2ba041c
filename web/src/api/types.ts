/** The API's objects, by their names; `schema.ts` is made from Nexus's own description of them. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Node = Schemas["Node"];
export type Agent = Schemas["AgentSummary"];
export type Job = Schemas["JobSummary"];
export type Instance = Schemas["Instance"];
export type Namespace = Schemas["Namespace"];
export type Concern = Schemas["Concern"];
export type FabricStatus = Schemas["FabricStatus"];
export type Token = Schemas["Token"];
export type Caller = Schemas["Caller"];
export type SessionOpened = Schemas["SessionOpened"];
export type CloudEvent = Schemas["CloudEvent"];
export type EventPage = Schemas["EventPage"];
export type Problem = Schemas["Problem"];
export type InstanceExplanation = Schemas["InstanceExplanation"];
/** A rule that a node fails. */
export type RuleFailure = Schemas["Failure"];
export type MetricAnswer = Schemas["MetricAnswer"];
export type MetricList = Schemas["MetricList"];
export type VersionInfo = Schemas["VersionInfo"];
export type UseRows = Schemas["UseRows"];
export type AgentFull = Schemas["Agent"];
export type AgentChanged = Schemas["AgentChanged"];
export type AgentExplanation = Schemas["AgentExplanation"];
export type AgentVersion = Schemas["AgentVersion"];
export type AgentVersionList = Schemas["AgentVersionList"];
export type Difference = Schemas["Difference"];
export type InstanceExit = Schemas["InstanceExit"];
export type OutputLine = Schemas["OutputLine"];
export type Plan = Schemas["Plan"];
export type RolloutStatus = Schemas["RolloutStatus"];
export type TokenList = Schemas["TokenList"];
export type TokenCreated = Schemas["TokenCreated"];
export type Outlook = Schemas["Outlook"];
export type ForeseenReplica = Schemas["ForeseenReplica"];
export type ManifestsRead = Schemas["ManifestsRead"];
export type ManifestFault = Schemas["ManifestFaultFound"];
export type ManifestWritten = Schemas["ManifestWritten"];
export type ComposeImported = Schemas["ComposeImported"];
export type ImportRemark = Schemas["ImportRemark"];
export type Secret = Schemas["Secret"];
