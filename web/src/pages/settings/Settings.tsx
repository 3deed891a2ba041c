/** Who one is here, who else gets in, how things look, which namespaces there are, and what the fabric keeps. */
import { useTitle } from "../../parts/title";
import { Appearance } from "./Appearance";
import { FabricFacts } from "./FabricFacts";
import { Namespaces } from "./Namespaces";
import { SessionFacts } from "./SessionFacts";
import "./settings.css";
import { Tokens } from "./Tokens";

export function SettingsPage() {
  useTitle(() => "Settings");
  return (
    <>
      <header class="page-head">
        <h1>Settings</h1>
      </header>
      <div class="page-body">
        <div class="settings both">
          <SessionFacts />
          <Appearance />
          <Tokens />
          <Namespaces />
          <FabricFacts />
        </div>
      </div>
    </>
  );
}
