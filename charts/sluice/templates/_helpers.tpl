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
