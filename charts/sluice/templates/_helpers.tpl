{{- /* Names and labels that several files share. */ -}}

{{- define "sluice.name" -}}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{- end }}

{{- define "sluice.image" -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{- define "sluice.gatewaySelector" -}}
app.kubernetes.io/name: sluice-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
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
