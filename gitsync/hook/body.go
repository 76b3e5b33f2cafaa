package hook

import "encoding/json"

// maxChanges of one request are told apart; of more, any ref may be meant.
const maxChanges = 32

// read takes the refs and commits from a body, in the form of its provider.
func read(r Request) ([]Change, error) {
	if r.Provider == Bitbucket {
		return readBitbucket(r)
	}
	var body struct {
		Ref   string `json:"ref"`
		After string `json:"after"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return nil, ErrJSON
	}
	if body.Ref == "" && body.After == "" {
		return nil, nil
	}
	return []Change{{Ref: body.Ref, After: body.After}}, nil
}

// readBitbucket reads what Cloud (push) and Data Center (changes) send. A ref that was deleted has no new state.
func readBitbucket(r Request) ([]Change, error) {
	var body struct {
		Push struct {
			Changes []struct {
				New *struct {
					Type, Name string
					Target     struct{ Hash string }
				} `json:"new"`
				Old *struct{ Type, Name string } `json:"old"`
			} `json:"changes"`
		} `json:"push"`
		Changes []struct {
			RefID  string `json:"refId"`
			ToHash string `json:"toHash"`
		} `json:"changes"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return nil, ErrJSON
	}
	var out []Change
	for _, c := range body.Push.Changes {
		switch {
		case c.New != nil:
			out = append(out, Change{Ref: cloudRef(c.New.Type, c.New.Name), After: c.New.Target.Hash})
		case c.Old != nil:
			out = append(out, Change{Ref: cloudRef(c.Old.Type, c.Old.Name)})
		default:
			return nil, nil // nobody knows which ref
		}
	}
	for _, c := range body.Changes {
		out = append(out, Change{Ref: c.RefID, After: c.ToHash})
	}
	if len(out) > maxChanges {
		return nil, nil
	}
	return out, nil
}

// cloudRef gives the full name of what Bitbucket Cloud names by kind and short name; empty for kinds that nobody knows.
func cloudRef(kind, name string) string {
	switch kind {
	case "branch", "named_branch", "bookmark":
		return "refs/heads/" + name
	case "tag", "annotated_tag":
		return "refs/tags/" + name
	}
	return ""
}
