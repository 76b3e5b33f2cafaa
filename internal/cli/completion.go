package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// kubectlCompletion is the program that kubectl asks for the words of a plugin.
const kubectlCompletion = "kubectl_complete-sluice"

func newCompletion(s Streams) *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use:   "completion SHELL|kubectl",
		Short: "Make a shell complete verbs, flags and names",
		Long: "Print the script by which bash, zsh, fish or powershell completes what is typed: verbs, flags, and the names of rollouts,\n" +
			"contexts, namespaces, attempts and codes as they are at that moment. A cluster is asked for two seconds at most, and\n" +
			"nobody is ever asked for a password.\n" +
			"kubectl writes " + kubectlCompletion + ", which makes kubectl complete `kubectl sluice`; it must be on PATH.\n\n" +
			"Exit code: 0 printed or written, 2 wrong usage, or a directory that cannot be written.",
		Example: "  source <(sluice completion bash)\n" +
			"  sluice completion kubectl --dir ~/.local/bin",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell", "kubectl"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("dir") && args[0] != "kubectl" {
				return &Exit{Code: ExitUsage, Err: fmt.Errorf("--dir belongs to kubectl: %s gets its script on standard output", args[0]), Next: "sluice completion " + args[0]}
			}
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(s.Out, true)
			case "zsh":
				return root.GenZshCompletion(s.Out)
			case "fish":
				return root.GenFishCompletion(s.Out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(s.Out)
			}
			return writeKubectlCompletion(s, dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "with kubectl: directory on PATH that it is written to")
	if err := cmd.MarkFlagDirname("dir"); err != nil {
		panic(err) // the flag does not exist: a mistake of this program
	}
	return cmd
}

// writeKubectlCompletion writes the program that kubectl asks.
func writeKubectlCompletion(s Streams, dir string) error {
	path := filepath.Join(dir, kubectlCompletion)
	script := "#!/bin/sh\n# Written by sluice completion kubectl: kubectl asks it for the words of `kubectl sluice`.\nexec kubectl-sluice __complete \"$@\"\n"
	err := os.WriteFile(path, []byte(script), 0o755) //nolint:gosec // a program has to be executable
	if err == nil {
		err = os.Chmod(path, 0o755) //nolint:gosec // of a file that was there before, too
	}
	if err != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("writing it: %w", err), Next: "sluice completion kubectl --dir DIR"}
	}
	_, err = fmt.Fprintln(s.Out, path)
	return err
}
