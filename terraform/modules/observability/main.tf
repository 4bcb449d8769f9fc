# One light for the region: on while any serious alarm is.
resource "aws_cloudwatch_composite_alarm" "region" {
  region            = var.region
  alarm_name        = "${var.name}-serious"
  alarm_description = "Callers in ${var.region} are not answered, or soon will not be."
  alarm_rule        = join(" OR ", [for name in var.serious_alarms : "ALARM(\"${name}\")"])
  alarm_actions     = [var.topic_arn]
  ok_actions        = [var.topic_arn]
}

resource "aws_cloudwatch_dashboard" "region" {
  region         = var.region
  dashboard_name = "${var.name}-${var.region}"
  dashboard_body = jsonencode({
    widgets = [
      for index, widget in concat(var.edge_widgets, var.agent_widgets) : {
        type   = "metric"
        x      = index % 2 * 12
        y      = floor(index / 2) * 6
        width  = 12
        height = 6
        properties = {
          title   = widget.title
          region  = var.region
          view    = "timeSeries"
          period  = 60
          metrics = jsondecode(widget.metrics)
        }
      }
    ]
  })
}
