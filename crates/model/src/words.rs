//! Names of fields as they stand in model files, for messages.

use crate::compiled::Model;
use crate::expression::EventField;

impl Model {
    /// The field in the file's words: `page.kind`, `properties.form`.
    pub fn field_name(&self, field: EventField) -> String {
        let fixed = match field {
            EventField::Event => "event",
            EventField::PageKind => "page.kind",
            EventField::PagePath => "page.path",
            EventField::PageUrl => "page.url",
            EventField::PageHost => "page.host",
            EventField::PageTitle => "page.title",
            EventField::PageReferrer => "page.referrer",
            EventField::PageName => "page.name",
            EventField::PageParameter(ix) => return format!("page.{}", self.page_parameters[ix.ix()]),
            EventField::UtmSource => "utm.source",
            EventField::UtmMedium => "utm.medium",
            EventField::UtmCampaign => "utm.campaign",
            EventField::UtmTerm => "utm.term",
            EventField::UtmContent => "utm.content",
            EventField::Property(ix) => return format!("properties.{}", self.properties[ix.ix()]),
            EventField::RecordTrait(ix) => return format!("traits.{}", self.record_traits[ix.ix()]),
            EventField::VisitNumber => "visit.number",
            EventField::VisitPages => "visit.pages",
            EventField::VisitSeconds => "visit.seconds",
            EventField::VisitGapDays => "visit.gap_days",
        };
        fixed.to_owned()
    }
}

impl EventField {
    /// Whether the field is stamped when the activity is applied, so that its value depends on the order of arrival.
    pub fn is_of_visit(self) -> bool {
        matches!(
            self,
            EventField::VisitNumber
                | EventField::VisitPages
                | EventField::VisitSeconds
                | EventField::VisitGapDays
        )
    }
}
