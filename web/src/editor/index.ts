/** Writing agents: an editor that knows the schema, what would come of the text, and doing it. Imports actions, state, api. */
export { draftKey, putDraft } from "./drafts";
