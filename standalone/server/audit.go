package server

import "os"

// auditPolicy is the file in the state directory by which requests are written down; most servers have none.
const auditPolicy = "audit-policy.yaml"

// audit are the arguments by which the server writes requests to log/audit.log, if there is a policy that says which.
func (f files) audit() []string {
	policy := f.path(auditPolicy)
	if _, err := os.Stat(policy); err != nil {
		return nil
	}
	return []string{"--audit-policy-file=" + policy, "--audit-log-path=" + f.log("audit.log"), "--audit-log-mode=blocking"}
}
