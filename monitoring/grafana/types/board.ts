// What a dashboard of ours is: Grafana's own types, with the options of the kinds of panel that we
// use. The schema leaves those open (Record<string, unknown>), and knows no data source's queries.
import type {
  Dashboard, DataQuery, FieldConfigSource, Panel, RowPanel,
} from '@grafana/schema';
import type {
  FieldConfig as LineField, Options as LineOptions,
} from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen.d.ts';
import type {
  Options as NumberOptions,
} from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen.d.ts';
import type {
  FieldConfig as CellField, Options as TableOptions,
} from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen.d.ts';

/** A type as JSON has it: the values of enums instead of the enums. */
type Json<T> = T extends string ? `${T}`
  : T extends number | boolean | null | undefined ? T
  : T extends (infer Item)[] ? Json<Item>[]
  : T extends object ? { [Key in keyof T]: Json<T[Key]> }
  : T;

interface Query extends DataQuery {
  expr: string;
  legendFormat: string;
  instant: boolean;
  range: boolean;
  format?: 'table' | 'time_series';
}

interface Shown<Kind extends string, Options, Field>
  extends Omit<Panel, 'fieldConfig' | 'options' | 'targets' | 'type'> {
  type: Kind;
  title: string;
  description: string;
  targets: Query[];
  options?: Partial<Options>;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & {
    defaults: Omit<FieldConfigSource['defaults'], 'custom'> & { custom?: Partial<Field> };
  };
}

type Line = Shown<'timeseries', LineOptions, LineField>;
type Figure = Shown<'stat', NumberOptions, Record<never, never>>;
type Table = Shown<'table', TableOptions, CellField>;
type Row = Omit<RowPanel, 'panels'> & { panels: (Line | Figure | Table)[] };

export type Board = Json<Omit<Dashboard, 'panels'> & { panels: (Line | Figure | Table | Row)[] }>;
