package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// completeWithin is how long a shell waits for names at most.
const completeWithin = 2 * time.Second

// completion gives the words that may stand where typed is.
type completion = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// offer makes a shell complete a flag by fixed words.
func offer(cmd *cobra.Command, flag string, words ...string) {
	complete(cmd, flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		directive := cobra.ShellCompDirectiveNoFileComp
		if slices.ContainsFunc(words, func(w string) bool { return strings.HasSuffix(w, "=") }) {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return words, directive
	})
}

// complete makes a shell complete a flag that the command has.
func complete(cmd *cobra.Command, flag string, by completion) {
	if err := cmd.RegisterFlagCompletionFunc(flag, by); err != nil {
		panic(err) // the flag does not exist, or has a completion: a mistake of this program
	}
}

// nameOf completes NAME by the objects of a kind; what comes before it is given by skip arguments.
func (c *cluster) nameOf(plural string, skip int) completion {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) != skip {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		prefix, kind := "", plural
		if word, _, slashed := strings.Cut(typed, "/"); slashed {
			known, ok := resourceOf(word)
			if !ok || known.plural != plural {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			prefix, kind = word+"/", known.plural
		}
		return c.names(cmd.Context(), kind, prefix)
	}
}

// completeAttempt completes NAME of a rollout, and --attempt by those that it knows.
func (c *cluster) completeAttempt(cmd *cobra.Command) {
	cmd.ValidArgsFunction = c.nameOf("rollouts", 0)
	complete(cmd, "attempt", c.attempts)
}

// kindAndName completes KIND/NAME, or KIND and NAME, of the kinds that are given.
func (c *cluster) kindAndName(plurals ...string) completion {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		word, _, slashed := strings.Cut(append(slices.Clone(args), typed)[0], "/")
		if len(args) == 0 && !slashed {
			var out []string
			for _, r := range resources() {
				if slices.Contains(plurals, r.plural) {
					out = append(out, r.names[1]+"/")
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		kind, known := resourceOf(word)
		if !known || !slices.Contains(plurals, kind.plural) || len(args) > 0 && strings.Contains(args[0], "/") {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.nameOf(kind.plural, len(args))(cmd, args, typed)
	}
}

// names are those of the objects of a kind, behind a prefix.
func (c *cluster) names(ctx context.Context, plural, prefix string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	if err := c.quietly(); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list := &metav1.PartialObjectMetadataList{}
	raw, err := c.client.Get().Namespace(c.namespace).Resource(plural).Param("limit", fmt.Sprint(maxPage)).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io").DoRaw(ctx)
	if err == nil {
		err = unmarshal(raw, list)
	}
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, item := range list.Items {
		out = append(out, prefix+problem.Clean(item.Name, 253))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// quietly connects without ever asking a person anything, and gives up soon.
func (c *cluster) quietly() error {
	c.quiet = true
	return c.connect()
}

// silence keeps whatever makes credentials from asking.
func silence(exec *clientcmdapi.ExecConfig) {
	if exec != nil {
		exec.InteractiveMode, exec.StdinUnavailable = clientcmdapi.NeverExecInteractiveMode, true
		exec.StdinUnavailableMessage = "a shell completes a word"
	}
}

// contexts completes --context by those of the kubeconfig.
func (c *cluster) contexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	raw, err := c.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for name := range raw.Contexts {
		out = append(out, problem.Clean(name, 253))
	}
	slices.Sort(out)
	return out, cobra.ShellCompDirectiveNoFileComp
}

// namespaces completes --namespace by those of the cluster.
func (c *cluster) namespaces(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	if err := c.quietly(); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list := &metav1.PartialObjectMetadataList{}
	raw, err := c.client.Get().AbsPath("/api/v1/namespaces").Param("limit", fmt.Sprint(maxPage)).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io").DoRaw(ctx)
	if err == nil {
		err = unmarshal(raw, list)
	}
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, item := range list.Items {
		out = append(out, item.Name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// attempts completes --attempt by those that a rollout knows, newest first.
func (c *cluster) attempts(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	directive := cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	if len(args) == 0 {
		return nil, directive
	}
	name, err := rolloutName(args[0])
	if err != nil {
		return nil, directive
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	if err := c.quietly(); err != nil {
		return nil, directive
	}
	ro := &v1alpha1.Rollout{}
	if err := c.client.Get().Namespace(c.namespace).Resource("rollouts").Name(name).Do(ctx).Into(ro); err != nil || ro.Status == nil {
		return nil, directive
	}
	st := ro.Status
	var out []string
	if st.Phase.Open() {
		out = append(out, fmt.Sprintf("%d\t%s, now %s", st.Attempt, ro.Spec.Subset, st.Phase))
	}
	for _, h := range st.History {
		if h.Attempt > 0 {
			out = append(out, fmt.Sprintf("%d\t%s, %s", h.Attempt, problem.Clean(h.Name, 253), cmp.Or(string(h.Outcome), "n/a")))
		}
	}
	return out, directive
}
