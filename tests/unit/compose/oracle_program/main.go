// Prints what compose-go makes of Compose files, as JSON: the oracle of the importer's tests.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
)

type outcome struct {
	Project any    `json:"project,omitempty"`
	Error   string `json:"error,omitempty"`
}

func load(dir string, files []string, profiles []string) outcome {
	options, err := cli.NewProjectOptions(files,
		cli.WithWorkingDirectory(dir),
		cli.WithOsEnv,
		cli.WithEnvFiles(),
		cli.WithDotEnv,
		cli.WithDefaultProfiles(profiles...),
	)
	if err != nil {
		return outcome{Error: err.Error()}
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return outcome{Error: err.Error()}
	}
	data, err := project.MarshalJSON()
	if err != nil {
		return outcome{Error: err.Error()}
	}
	var plain any
	if err := json.Unmarshal(data, &plain); err != nil {
		return outcome{Error: err.Error()}
	}
	return outcome{Project: plain}
}

// Arguments: the directory of cases. Each case is a folder with compose*.yaml (in order) or one file.
func main() {
	root, _ := filepath.Abs(os.Args[1])
	made := map[string]outcome{}
	entries, err := os.ReadDir(root)
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		path := filepath.Join(root, entry.Name())
		var files []string
		dir := root
		if entry.IsDir() {
			dir = path
			files, _ = filepath.Glob(filepath.Join(path, "compose*.y*ml"))
		} else if ext := filepath.Ext(path); ext == ".yaml" || ext == ".yml" {
			files = []string{path}
		}
		if len(files) > 0 {
			made[entry.Name()] = load(dir, files, nil)
		}
	}
	text, err := json.MarshalIndent(made, "", " ")
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}
