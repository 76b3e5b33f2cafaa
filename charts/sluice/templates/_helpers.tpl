{{- /* Names and labels that several files share. */ -}}

{{- /* That of the release, as names of Services and labels may be: they begin with a letter, have no dot, and none is a word or number of YAML. */ -}}
{{- define "sluice.name" -}}
{{- $name := .Release.Name | replace "." "-" -}}
{{- if or (not (regexMatch "^[a-z]" $name)) (has $name (list "true" "false" "null" "yes" "no" "on" "off" "y" "n")) -}}{{ $name = printf "sluice-%s" $name }}{{- end -}}
{{ $name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "sluice.image" -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: controller
{{- end }}

{{- define "sluice.gatewaySelector" -}}
app.kubernetes.io/name: sluice-gateway
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: gateway
{{- end }}

{{- define "sluice.labels" -}}
app.kubernetes.io/part-of: sluice
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "sluice.xdsSecret" -}}{{ .Values.xds.tls.secretName | default (printf "%s-xds" (include "sluice.name" .)) }}{{- end }}
{{- define "sluice.gatewaySecret" -}}{{ .Values.gateway.tlsSecretName | default (printf "%s-gateway" (include "sluice.name" .)) }}{{- end }}
{{- define "sluice.gatewayName" -}}{{ include "sluice.name" . }}-gateway{{- end }}
{{- define "sluice.xdsHost" -}}{{ include "sluice.name" . }}.{{ .Release.Namespace }}.svc{{- end }}

{{- /* What every container of ours may not do. */ -}}
{{- define "sluice.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "sluice.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- /* The port of a URL. */ -}}
{{- define "sluice.urlPort" -}}
{{- $url := urlParse . -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary 443 80 (eq $url.scheme "https")) -}}
{{- end }}

{{- /* A Pod that is killed while it sends its proxies away cuts them off, and keeps its Leases. */ -}}
{{- define "sluice.checkDrain" -}}
{{- $begin := toDate "2006-01-02" "2006-01-02" -}}
{{- $end := $begin | mustDateModify .Values.drain.delay | mustDateModify .Values.drain.time -}}
{{- $needed := add (sub (unixEpoch $end) (unixEpoch $begin)) 5 -}}
{{- if lt (int64 .Values.drain.gracePeriodSeconds) $needed -}}
{{- fail (printf "drain.gracePeriodSeconds is %d: want at least %d, which are drain.delay (%s), drain.time (%s) and 5 s to end" (int64 .Values.drain.gracePeriodSeconds) $needed .Values.drain.delay .Values.drain.time) -}}
{{- end -}}
{{- end }}

{{- /* Labels that people add to those of the chart, which they do not replace: objects are found by these. */ -}}
{{- define "sluice.moreLabels" -}}
{{- range $key, $_ := .labels -}}
{{- if or (hasPrefix "app.kubernetes.io/" $key) (eq $key "helm.sh/chart") -}}
{{- fail (printf "%s has %s: the chart sets that label itself" $.at $key) -}}
{{- end -}}
{{- end -}}
{{- with .labels }}{{ toYaml . }}{{ end -}}
{{- end }}

{{- /* What the schema cannot say: values that contradict each other. */ -}}
{{- define "sluice.check" -}}
{{- include "sluice.checkDrain" . -}}
{{- if and .Values.traces.headersSecret (not .Values.traces.endpoint) -}}
{{- fail "traces.headersSecret is without effect: traces.endpoint is empty" -}}
{{- end -}}
{{- if and .Values.xds.tls.proxies (ne .Values.xds.tls.mode "self") -}}
{{- fail "xds.tls.proxies is without effect: xds.tls.mode is not self" -}}
{{- end -}}
{{- $ports := dict "8081" "the port of health" "9292" "the port of webhooks" -}}
{{- range $value, $port := dict "xds.port" .Values.xds.port "metrics.port" .Values.metrics.port -}}
{{- $text := $port | int | toString -}}
{{- if hasKey $ports $text -}}{{- fail (printf "%s is %s, which is %s, too" $value $text (get $ports $text)) -}}{{- end -}}
{{- $_ := set $ports $text $value -}}
{{- end -}}
{{- $secrets := dict (printf "%s/%s" .Release.Namespace (include "sluice.xdsSecret" .)) "xds.tls.secretName" -}}
{{- if .Values.gateway.enabled -}}
{{- include "sluice.checkSecret" (dict "secrets" $secrets "is" (printf "%s/%s" .Release.Namespace (include "sluice.gatewaySecret" .)) "at" "gateway.tlsSecretName") -}}
{{- end -}}
{{- range $i, $proxy := .Values.xds.tls.proxies -}}
{{- include "sluice.checkSecret" (dict "secrets" $secrets "is" (printf "%s/%s" $proxy.namespace $proxy.secret) "at" (printf "xds.tls.proxies[%d]" $i)) -}}
{{- end -}}
{{- $seen := dict -}}
{{- range .Values.certificates -}}
{{- if hasKey $seen .namespace -}}{{- fail (printf "certificates names %s twice: put all names of a namespace into one entry" .namespace) -}}{{- end -}}
{{- $_ := set $seen .namespace true -}}
{{- end -}}
{{- if .Values.gateway.enabled -}}
{{- if not .Values.gateway.labels -}}{{- fail "gateway.labels is empty: no Gateway could select this Envoy" -}}{{- end -}}
{{- if not .Values.gateway.service.ports -}}{{- fail "gateway.service.ports is empty: nobody could come in" -}}{{- end -}}
{{- $names := dict -}}
{{- range .Values.gateway.service.ports -}}
{{- if eq (int .targetPort) 15021 -}}{{- fail (printf "gateway.service.ports: %s has the targetPort 15021, at which Envoy says that it is ready" .name) -}}{{- end -}}
{{- $port := printf "port %d" (int .port) -}}
{{- range list .name $port -}}
{{- if hasKey $names . -}}{{- fail (printf "gateway.service.ports has %s twice" .) -}}{{- end -}}
{{- $_ := set $names . true -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* One Secret holds one certificate. */ -}}
{{- define "sluice.checkSecret" -}}
{{- if hasKey .secrets .is -}}
{{- fail (printf "%s is the Secret %s, which is that of %s, too" .at .is (get .secrets .is)) -}}
{{- end -}}
{{- $_ := set .secrets .is .at -}}
{{- end }}
