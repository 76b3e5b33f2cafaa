// Package gitssh lets tests fetch by SSH from bare repositories of this machine, on loopback: from OpenSSH's own sshd
// under a configuration and keys made for the test, or from a small server in the test's process.
//
//	s, err := gitssh.StartSSHD(ctx, gitssh.Config{Dir: dir, HostKeys: [][]byte{key}, Authorized: []ssh.PublicKey{user}})
//	url := s.URL(repositoryDir)
package gitssh
