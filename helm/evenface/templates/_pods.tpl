{{- /* What all pods have in common. */ -}}
{{- define "evenface.pod" -}}
serviceAccountName: {{ include "evenface.serviceAccountName" . | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .Values.security.runAsUser }}
  runAsGroup: {{ .Values.security.runAsUser }}
  fsGroup: {{ .Values.security.runAsUser }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{- /* What all containers have in common. */ -}}
{{- define "evenface.container" -}}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- /* Which nodes. Takes a dict: root, gpu (whether they need one). */ -}}
{{- define "evenface.placement" -}}
{{- $gpu := .root.Values.gpu -}}
{{- $labels := deepCopy .root.Values.nodeSelector -}}
{{- $tolerations := .root.Values.tolerations -}}
{{- if .gpu -}}
{{- $labels = merge $labels $gpu.nodeSelector -}}
{{- $tolerations = concat $tolerations $gpu.tolerations -}}
{{- with $gpu.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- end }}
{{- with $labels }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Takes a dict: root, resources, gpus (how many). */ -}}
{{- define "evenface.resources" -}}
{{- $limits := deepCopy .resources.limits -}}
{{- if .gpus -}}
{{- $_ := set $limits .root.Values.gpu.resource .gpus -}}
{{- end -}}
requests: {{- toYaml .resources.requests | nindent 2 }}
limits: {{- toYaml $limits | nindent 2 }}
{{- end }}

{{- define "evenface.topologySpread" -}}
{{- range .Values.topologySpread }}
- topologyKey: {{ .topologyKey }}
  maxSkew: {{ .maxSkew }}
  whenUnsatisfiable: {{ .whenUnsatisfiable }}
  labelSelector:
    matchLabels: {{- include "evenface.selector" (list $ "server") | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{- define "evenface.scratch" -}}
- name: scratch
  emptyDir: {sizeLimit: {{ .Values.scratchSizeLimit }}}
{{- end }}
